import { commandOf, type Draft, type DraftProcess, freeName } from './draft.ts'

/** One package.json: that of the project, or of a workspace. */
export interface PackageScripts {
  /** The folder of the package, relative to the project; empty for the project itself. */
  readonly folder: string
  readonly scripts: Readonly<Record<string, string>>
}

/** Names of scripts that start the same program in different ways, the one for development first. */
const startNames = ['dev', 'develop', 'start', 'serve']
const longRunning = /^(?:watch|worker|workers|web|api|server|queue|jobs|scheduler|consumer|proxy)(?::.+)?$/
/** Programs that run other scripts. */
const runners =
  /\b(?:concurrently|npm-run-all2?|run-p|run-s|turbo|nx|lerna|wireit|foreman|pm2|ponix-orchestrator)\b|\b(?:npm|pnpm|yarn|bun)\b.*(?:\s-w\b|\s-r\b|--workspaces?\b|--filter\b|--recursive\b|\bworkspaces\b)/

/**
 * Takes the scripts that keep running. `runner` is the package manager, for scripts that need it: those with a `pre` or `post`
 * script, or with variables of npm.
 */
export function draftFromPackages(packages: readonly PackageScripts[], runner: string): Draft {
  const processes = new Map<string, DraftProcess>()
  const notes: string[] = []
  for (const { folder, scripts } of packages) {
    const noted = (script: string, reason: string) =>
      notes.push(`script "${script}"${folder === '' ? '' : ` of ${folder}`}: ${reason}`)
    for (const [script, line] of Object.entries(scripts)) {
      if (!isCandidate(script)) continue
      if (runners.test(line)) {
        noted(script, 'starts other scripts, which are processes of their own')
        continue
      }
      const preferred = preferredScript(script, scripts)
      if (preferred !== null) {
        noted(script, `left out, because it starts the same as "${preferred}"`)
        continue
      }
      const needsRunner = `pre${script}` in scripts || `post${script}` in scripts || /\bnpm_/.test(line)
      const command = needsRunner ? { command: runner, args: ['run', script] } : commandOf(line)
      const name = freeName(processName(script, folder), processes)
      processes.set(name, folder === '' ? command : { ...command, cwd: folder })
    }
  }
  return { processes, notes }
}

function isCandidate(script: string): boolean {
  const [first = ''] = script.split(':')
  return startNames.includes(first) || longRunning.test(script)
}

/** Returns the script that is taken instead: `dev:api` instead of `start:api`; null if there is none. */
function preferredScript(script: string, scripts: Readonly<Record<string, string>>): string | null {
  const [first = '', ...rest] = script.split(':')
  const earlier = startNames.slice(0, Math.max(0, startNames.indexOf(first)))
  const sameProgram = earlier.map((name) => [name, ...rest].join(':'))
  return sameProgram.find((name) => name in scripts) ?? null
}

/** Returns `api` for `dev:api`, and the folder's name for the script of a workspace. */
function processName(script: string, folder: string): string {
  const [first = '', ...rest] = script.split(':')
  const own = startNames.includes(first) ? rest.join(':') : script
  const parts = [folder.split('/').at(-1) ?? '', own].filter((part) => part !== '')
  return parts.length === 0 ? script : parts.join(':')
}

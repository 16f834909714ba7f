import { commandOf, type Draft, type DraftProcess, freeName } from './draft.ts'
import { type Started, type Steps, stepsOf } from './script-runner.ts'

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

/** Scripts that end by themselves, also with a suffix, as in `test:unit`. */
const oneOff =
  /^(?:pre|post)?(?:build|bundle|compile|test|tests|e2e|coverage|bench|lint|format|fmt|prettier|eslint|check|typecheck|type-check|types|tsc|clean|prepare|install|publish|pack|version|release|deploy|generate|codegen|docs|ci|fix|husky|uninstall|prepublishOnly)(?::(?!watch|dev).+)?$/
/** Scripts that prepare something for the others. */
const preparing = /^(?:db:|prisma:)?(?:migrate|migrations?|seed|setup|bootstrap|reset)(?::.+)?$/

const hints = [
  'What a process can have, too:',
  '"depends_on": ["db"],  // starts when db is ready',
  '"readiness_probe": { "http_get": "http://127.0.0.1:3000/" },  // so that others can wait for it',
  '"watch": { "paths": ["src"] },  // restarts when files change',
]

/**
 * Takes the scripts that keep running. `runner` is the package manager, for scripts that need it: those with a `pre` or `post`
 * script, or with variables of npm.
 */
export function draftFromPackages(packages: readonly PackageScripts[], runner: string): Draft {
  const processes = new Map<string, DraftProcess>()
  const notes: string[] = []
  for (const { folder, scripts } of packages) {
    const place = folder === '' ? '' : ` of ${folder}`
    const inPlace = (process: DraftProcess) => (folder === '' ? process : { ...process, cwd: folder })
    const plan = planOf(scripts)
    const ending: string[] = []
    for (const script of Object.keys(scripts)) {
      if (script === plan?.runner) {
        const added = processesOf(plan.steps, scripts, { folder, runner, taken: processes })
        for (const [name, process] of added) processes.set(name, inPlace(process))
      }
      if (plan?.started.has(script) === true) continue
      if (oneOff.test(script) || isHook(script, scripts)) {
        ending.push(`"${script}"`)
        continue
      }
      const reason = reasonToLeaveOut(script, scripts, packages.length > 1, plan)
      if (reason !== null) {
        notes.push(`script "${script}"${place}: ${reason}`)
        continue
      }
      const name = freeName(processName(script, folder), processes)
      processes.set(name, inPlace(commandOfScript(script, scripts, runner)))
    }
    if (ending.length > 0) {
      const subject = ending.length === 1 ? 'script' : 'scripts'
      notes.push(`${subject} ${ending.join(', ')}${place}: left out, because such scripts end by themselves`)
    }
  }
  return { processes, notes, hints }
}

function commandOfScript(script: string, scripts: PackageScripts['scripts'], runner: string): DraftProcess {
  const line = scripts[script] ?? ''
  const needsRunner = `pre${script}` in scripts || `post${script}` in scripts || /\bnpm_/.test(line)
  return needsRunner ? { command: runner, args: ['run', script] } : commandOf(line)
}

/** What the script that starts all others starts. */
interface RunnerPlan {
  /** The name of that script. */
  readonly runner: string
  readonly steps: Steps
  /** The scripts that it starts. */
  readonly started: ReadonlySet<string>
}

/** Reads the first script for development that runs others with concurrently or npm-run-all; null if there is none. */
function planOf(scripts: PackageScripts['scripts']): RunnerPlan | null {
  const first = startNames.find((name) => name in scripts)
  if (first === undefined) return null
  const steps = expand(stepsOf(scripts[first] ?? ''), scripts, [first])
  if (steps === null) return null
  const started = new Set(steps.flat().flatMap(({ script, line }) => (script === null ? [] : [line])))
  return { runner: first, steps, started }
}

/** Replaces patterns by scripts, and scripts that run others in turn by these. Null if a script is missing or runs itself. */
function expand(steps: Steps | null, scripts: PackageScripts['scripts'], visited: readonly string[]): Steps | null {
  if (steps === null) return null
  const expanded: Started[][] = []
  for (const step of steps) {
    const found: Started[] = []
    for (const started of step) {
      const { script: wanted } = started
      const names = wanted === null ? [] : Object.keys(scripts).filter((name) => wanted.test(name))
      const others = names.filter((name) => !visited.includes(name))
      if (wanted !== null && others.length === 0) return null
      if (wanted === null) found.push(started)
      for (const name of others) {
        const inner = expand(stepsOf(scripts[name] ?? ''), scripts, [...visited, name])
        if (inner?.length === 1) found.push(...inner.flat())
        else found.push({ name: others.length === 1 ? started.name : null, script: wanted, line: name })
      }
    }
    expanded.push(found)
  }
  return expanded
}

interface StepContext {
  readonly folder: string
  readonly runner: string
  readonly taken: ReadonlyMap<string, unknown>
}

/** Makes the last step services, and each earlier one tasks for which the next one waits. */
function processesOf(
  steps: Steps,
  scripts: PackageScripts['scripts'],
  { folder, runner, taken }: StepContext,
): ReadonlyMap<string, DraftProcess> {
  const processes = new Map<string, DraftProcess>()
  let earlier: readonly string[] = []
  for (const [index, step] of steps.entries()) {
    const names: string[] = []
    for (const { name, script, line } of step) {
      const wanted = name ?? (script === null ? nameOfLine(line) : processName(line, folder))
      const free = freeName(wanted, new Map([...taken, ...processes]))
      const command = script === null ? commandOf(line) : commandOfScript(line, scripts, runner)
      const kind = index < steps.length - 1 ? { kind: 'task' } : {}
      processes.set(free, { ...command, ...kind, ...(earlier.length === 0 ? {} : { depends_on: earlier }) })
      names.push(free)
    }
    earlier = names
  }
  return processes
}

/** Returns a name for a command line: the file that it runs without ending, or its program. */
function nameOfLine(line: string): string {
  const { command, args = [] } = commandOf(line)
  const [first = command] = command.trim().split(/\s+/)
  const file = args.find((arg) => /^[^-].*\.\w+$/.test(arg)) ?? first
  return file.replace(/^.*\//, '').replace(/\.\w+$/, '')
}

/** Returns whether npm runs a script before or after another one. */
function isHook(script: string, scripts: PackageScripts['scripts']): boolean {
  const [, target] = /^(?:pre|post)(.+)$/.exec(script) ?? []
  return target !== undefined && target in scripts
}

/** Returns the reason why a script is not a process; null if it is. */
function reasonToLeaveOut(
  script: string,
  scripts: PackageScripts['scripts'],
  hasWorkspaces: boolean,
  plan: RunnerPlan | null,
): string | null {
  if (script === plan?.runner) return 'starts others, which are processes of their own'
  if (plan !== null && isCandidate(script) && startNames.includes(script.split(':')[0] ?? '')) {
    return `left out, because the scripts that "${plan.runner}" starts were taken instead`
  }
  if (preparing.test(script))
    return 'left out, because it ends by itself; if others need it, add it with "kind": "task"'
  if (oneOff.test(script.replace(/:(?:watch|dev).*$/, ''))) return 'left out; add it if a process needs its result'
  if (!isCandidate(script)) return 'left out, because its name does not say that it keeps running; add it if it does'
  if (runners.test(scripts[script] ?? '')) return 'starts other scripts, which are processes of their own'
  const preferred = preferredScript(script, scripts, hasWorkspaces)
  if (preferred === null) return null
  return runners.test(scripts[preferred] ?? '')
    ? `left out, because the scripts that "${preferred}" starts were taken instead`
    : `left out, because "${preferred}" was taken instead`
}

function isCandidate(script: string): boolean {
  const [first = ''] = script.split(':')
  return startNames.includes(first) || longRunning.test(script)
}

/**
 * Returns the script that is taken instead: `dev:api` instead of `start:api`; null if there is none. A script that starts others
 * counts only if these are known.
 */
function preferredScript(script: string, scripts: PackageScripts['scripts'], hasWorkspaces: boolean): string | null {
  const [first = '', ...rest] = script.split(':')
  const earlier = startNames.slice(0, Math.max(0, startNames.indexOf(first)))
  const hasParts = (name: string) => hasWorkspaces || Object.keys(scripts).some((other) => other.startsWith(`${name}:`))
  const isTaken = (name: string) => name in scripts && (!runners.test(scripts[name] ?? '') || hasParts(name))
  return earlier.map((name) => [name, ...rest].join(':')).find(isTaken) ?? null
}

/** Returns `api` for `dev:api`, and the folder's name for the script of a workspace. */
function processName(script: string, folder: string): string {
  const [first = '', ...rest] = script.split(':')
  const own = startNames.includes(first) ? rest.join(':') : script
  const parts = [folder.split('/').at(-1) ?? '', own].filter((part) => part !== '')
  return parts.length === 0 ? script : parts.join(':')
}

import { commandOf, type Draft, type DraftProcess, freeName } from './draft.ts'

/** The ports that foreman gives: the first process has 5000, the next one 5100. */
const firstPort = 5000
const portStep = 100

/** Reads a Procfile: lines of `name: command`. `hasEnvFile` is true if there is a `.env` beside it, which foreman reads. */
export function draftFromProcfile(text: string, hasEnvFile: boolean): Draft {
  const processes = new Map<string, DraftProcess>()
  const notes: string[] = []
  const lines = text.split('\n').entries()
  for (const [index, line] of lines) {
    if (/^\s*(?:#|$)/.test(line)) continue
    const [, name, command] = /^\s*([\w.-]+)\s*:\s*(.*\S)\s*$/.exec(line) ?? []
    if (name === undefined || command === undefined) {
      notes.push(`line ${index + 1}: expected "name: command"`)
      continue
    }
    const port = firstPort + portStep * processes.size
    const env = /\$\{?PORT\b/.test(command) ? { env: { PORT: `\${PORT:-${port}}` } } : {}
    const envFile = hasEnvFile ? { env_file: '.env' } : {}
    const kind = name === 'release' ? { kind: 'task' } : {}
    processes.set(freeName(name, processes), { ...commandOf(command), ...kind, ...envFile, ...env })
  }
  return { processes: afterRelease(processes), notes }
}

/** Makes all processes wait for `release`, which Heroku runs before a release is used. */
function afterRelease(processes: ReadonlyMap<string, DraftProcess>): ReadonlyMap<string, DraftProcess> {
  if (!processes.has('release')) return processes
  return new Map(
    Array.from(processes, ([name, process]) => [
      name,
      name === 'release' ? process : { ...process, depends_on: ['release'] },
    ]),
  )
}

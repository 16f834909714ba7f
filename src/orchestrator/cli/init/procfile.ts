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
    const env = name === 'web' || /\$\{?PORT\b/.test(command) ? { env: { PORT: `\${PORT:-${port}}` } } : {}
    const envFile = hasEnvFile ? { env_file: '.env' } : {}
    const kind = name === 'release' ? { kind: 'task' } : {}
    processes.set(freeName(name, processes), { ...commandOf(command), ...kind, ...envFile, ...env })
  }
  if (!processes.has('release')) return { processes, notes }
  const servers = [...processes.keys()].filter((name) => server.test(name))
  return { processes: aroundRelease(processes, servers), notes: [...notes, describeRelease(servers)] }
}

/** Names of servers that a release is likely to need. */
const server =
  /^(?:db|database|postgres(?:ql)?|pg|mysql|mariadb|mongo(?:db)?|redis|valkey|memcached|rabbitmq|kafka|nats|elasticsearch|opensearch|clickhouse|minio)(?:[-_.]?\w+)?$/i

function describeRelease(servers: readonly string[]): string {
  if (servers.length === 0) {
    return 'release: all others wait for it; if it needs one of them, such as a database, write "depends_on" the other way round'
  }
  const names = servers.join(', ')
  return `release: waits for ${names}, and all others wait for it; add a "readiness_probe" to ${names}, and correct "depends_on" if it needs others`
}

/** Makes `release`, which Heroku runs before a release is used, wait for the servers, and all others for `release`. */
function aroundRelease(
  processes: ReadonlyMap<string, DraftProcess>,
  servers: readonly string[],
): ReadonlyMap<string, DraftProcess> {
  const dependencies = (name: string) => (name === 'release' ? servers : servers.includes(name) ? [] : ['release'])
  return new Map(
    Array.from(processes, ([name, process]) => {
      const names = dependencies(name)
      return [name, names.length === 0 ? process : { ...process, depends_on: names }]
    }),
  )
}

import { join } from 'node:path'
import { ServerError } from '../../../src/domain/errors.ts'
import type { Logger } from '../../../src/runner/logger.ts'
import { startServerProcess, stopOrphan } from '../server-process.ts'
import { assertPortFree, type RunServer, type ServerOptions } from '../server.ts'
import { ensureCluster, clearLeftovers } from './cluster.ts'
import { dataHome, findServiceUser, type ServiceUser } from './installation.ts'

/** PostgreSQL with logical replication, as an unprivileged user when the caller is root. `provisionDir` has its programs. */
export const runPostgres: RunServer = async (options, signal) => {
  const home = await dataHome(options.dataDir)
  if (home !== options.dataDir) {
    options.logger.info(`PostgreSQL's data is kept in ${home}, because its user cannot get to ${options.dataDir}`)
  }
  const user = await findServiceUser(join(home, 'data'))
  await stopOrphan(home, 'SIGQUIT')
  await clearLeftovers(join(home, 'data'))
  await ensureCluster(home, options, user)
  await assertPortFree(options.port, { server: 'PostgreSQL', flag: '--port', setting: 'PONIX_POSTGRES_PORT' })
  if (signal.aborted) return
  const output = new ServerOutput(options.logger, signal)
  const end = await runServer(home, options, user, output, signal)
  if (!signal.aborted) throw new ServerError(`PostgreSQL ended (${end}): ${output.failure}`)
}

async function runServer(
  home: string,
  options: ServerOptions,
  user: ServiceUser | undefined,
  output: ServerOutput,
  signal: AbortSignal,
): Promise<string> {
  const server = await startServerProcess({
    command: join(options.provisionDir, 'postgres'),
    args: ['-D', join(home, 'data'), ...settings(options.port).flatMap((setting) => ['-c', setting])],
    dataDir: home,
    user,
    stopSignal: 'SIGINT',
    stopTimeoutMs: 30_000,
    onLine(line) {
      if (output.read(line) === 'ready') options.ready()
    },
  })
  const stop = (): void => void server.stop()
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const end = await server.ended
  signal.removeEventListener('abort', stop)
  return end
}

/** On the command line and not in the data folder's files, so that a new version of ours changes them. */
function settings(port: number): readonly string[] {
  return [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    // A socket's path has a length limit that a deep data folder exceeds.
    'unix_socket_directories=',
    'wal_level=logical',
    'max_wal_senders=20',
    'max_replication_slots=20',
    'max_connections=200',
    'logging_collector=off',
    'log_destination=stderr',
    'log_line_prefix=',
    'log_checkpoints=off',
    'lc_messages=C',
  ]
}

/** The levels that begin an entry of the log; `DETAIL`, `HINT`, `STATEMENT` and lines that begin with a tab belong to it. */
const LEVELS = ['LOG', 'NOTICE', 'WARNING', 'ERROR', 'FATAL', 'PANIC']

/** What PostgreSQL says, in its log's format with an empty prefix: `LEVEL:  text`. Routine goes to the debug level. */
class ServerOutput {
  readonly #logger: Logger
  readonly #stopping: AbortSignal
  #level = 'LOG'
  #ready = false
  #failure = 'it gave no reason'

  constructor(logger: Logger, stopping: AbortSignal) {
    this.#logger = logger
    this.#stopping = stopping
  }

  /** Why it could not start, or what broke it, as one line. */
  get failure(): string {
    return this.#failure
  }

  read(line: string): 'ready' | undefined {
    if (line === '') return undefined
    const level = /^([A-Z]+):/.exec(line)?.[1]
    if (level !== undefined && LEVELS.includes(level)) this.#level = level
    // Once it serves, FATAL is the end of one client's session.
    if (level === 'PANIC' || (level === 'FATAL' && !this.#ready)) this.#failure = line
    const routine = this.#level === 'LOG' || this.#stopping.aborted
    this.#logger[routine ? 'debug' : 'warn'](line)
    if (!/^LOG: +database system is ready to accept connections/.test(line)) return undefined
    this.#ready = true
    return 'ready'
  }
}

import { join } from 'node:path'
import { ServerError } from '../../../src/domain/errors.ts'
import type { Logger } from '../../../src/runner/logger.ts'
import { runServerProcess, stopOrphan } from '../server-process.ts'
import { assertPortFree, type RunServer } from '../server.ts'
import { ensureCluster, removeStalePidFile } from './cluster.ts'
import { dataHome, findServiceUser } from './installation.ts'

/** PostgreSQL with logical replication, as an unprivileged user when the caller is root. */
export const runPostgres: RunServer = async (options, signal) => {
  const home = await dataHome(options.dataDir)
  if (home !== options.dataDir) {
    options.logger.info(`the data of PostgreSQL is in ${home}, because its user cannot access ${options.dataDir}`)
  }
  const user = await findServiceUser(join(home, 'data'))
  await stopOrphan(home, 'SIGQUIT')
  await removeStalePidFile(join(home, 'data'))
  await ensureCluster(home, options, user)
  await assertPortFree(options.port, { server: 'PostgreSQL', flag: '--port', variable: 'PONIX_POSTGRES_PORT' })
  if (signal.aborted) return
  const output = new ServerOutput(options.logger, signal)
  const command = {
    command: join(options.provisionDir, 'postgres'),
    args: ['-D', join(home, 'data'), ...settings(options.port).flatMap((setting) => ['-c', setting])],
    dataDir: home,
    user,
    stopSignal: 'SIGINT',
    stopTimeoutMs: 30_000,
    onLine(line: string) {
      if (output.read(line) === 'ready') options.ready()
    },
  } as const
  const end = await runServerProcess(command, signal)
  if (!signal.aborted) throw new ServerError(`PostgreSQL ended (${end}): ${output.failure}`)
}

/** Passed on the command line, not in the data folder, so that a new version of this program changes them. */
function settings(port: number): readonly string[] {
  return [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    // The path of a socket has a length limit, which a deep data folder exceeds.
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

/** Levels that begin a log entry; `DETAIL`, `HINT`, `STATEMENT` and lines that begin with a tab continue it. */
const LEVELS = ['LOG', 'NOTICE', 'WARNING', 'ERROR', 'FATAL', 'PANIC']

/** Reads PostgreSQL's log with an empty prefix, `LEVEL:  text`, and logs routine entries at debug level. */
class ServerOutput {
  readonly #logger: Logger
  readonly #stopping: AbortSignal
  #level = 'LOG'
  #ready = false
  #failure = 'no reason given'

  constructor(logger: Logger, stopping: AbortSignal) {
    this.#logger = logger
    this.#stopping = stopping
  }

  /** One line: why PostgreSQL could not start or crashed. */
  get failure(): string {
    return this.#failure
  }

  read(line: string): 'ready' | undefined {
    if (line === '') return undefined
    const level = /^([A-Z]+):/.exec(line)?.[1]
    if (level !== undefined && LEVELS.includes(level)) this.#level = level
    // While it serves, FATAL ends the session of one client.
    if (level === 'PANIC' || (level === 'FATAL' && !this.#ready)) this.#failure = line
    const routine = this.#level === 'LOG' || this.#stopping.aborted
    this.#logger[routine ? 'debug' : 'warn'](line)
    if (!/^LOG: +database system is ready to accept connections/.test(line)) return undefined
    this.#ready = true
    return 'ready'
  }
}

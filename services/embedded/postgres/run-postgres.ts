import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../../src/runner/logger.ts'
import { assertPortFree } from '../port.ts'
import { ServerError } from '../server.ts'
import type { RunServer, ServerOptions } from '../server.ts'
import { startServerProcess, stopOrphan } from '../server-process.ts'
import { ensureCluster } from './cluster.ts'
import { dataHome, findServiceUser } from './service-user.ts'
import type { ServiceUser } from './service-user.ts'

/** How long processes of a server that was killed may take to notice it and go. */
const LEFTOVERS_MS = 20_000

/** PostgreSQL with logical replication, as an unprivileged user when the caller is root. `provisionDir` has its programs. */
export const runPostgres: RunServer = async (options, signal) => {
  const home = await dataHome(options.dataDir)
  if (home !== options.dataDir) {
    options.logger.info(`PostgreSQL's data is kept in ${home}, because its user cannot get to ${options.dataDir}`)
  }
  const user = await findServiceUser(join(home, 'data'))
  await stopOrphan(home, 'SIGQUIT')
  await ensureCluster(home, options, user)
  await assertPortFree(options.port, 'PostgreSQL')
  const deadline = performance.now() + LEFTOVERS_MS
  while (!signal.aborted) {
    const output = new ServerOutput(options.logger)
    const end = await runOnce(home, options, user, output, signal)
    if (signal.aborted) return
    if (!output.leftoversInTheWay || performance.now() > deadline) {
      throw new ServerError(`PostgreSQL ended (${end}): ${output.failure}`)
    }
    await sleep(100)
  }
}

async function runOnce(
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

/** What PostgreSQL says, in its log's format with an empty prefix: `LEVEL:  text`, further lines begin with a tab. */
class ServerOutput {
  readonly #logger: Logger
  #quiet = true
  #failure = 'it gave no reason'
  #leftoversInTheWay = false

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** The last reason for an end, as one line. */
  get failure(): string {
    return this.#failure
  }

  /** Processes of a killed server still hold its shared memory; they go by themselves. */
  get leftoversInTheWay(): boolean {
    return this.#leftoversInTheWay
  }

  read(line: string): 'ready' | undefined {
    const level = /^([A-Z]+):/.exec(line)?.[1]
    if (level === 'LOG' || level === 'FATAL' || level === 'WARNING' || level === 'ERROR') this.#quiet = level === 'LOG'
    if (level === 'FATAL' || level === 'PANIC') this.#failure = line
    if (line.includes('is still in use') && line.startsWith('FATAL')) {
      this.#leftoversInTheWay = true
      this.#quiet = true
    }
    if (line !== '') this.#logger[this.#quiet ? 'debug' : 'warn'](line)
    return /^LOG: +database system is ready to accept connections/.test(line) ? 'ready' : undefined
  }
}

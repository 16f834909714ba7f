import { join } from 'node:path'
import { StartupError } from '../../../src/domain/errors.ts'
import { runServerProcess, stopOrphan } from '../server-process.ts'
import { assertPortFree, type RunServer } from '../server.ts'
import { ensureCluster, removeStalePidFile } from './cluster.ts'
import { dataHome, findServiceUser } from './installation.ts'

/** Runs PostgreSQL with logical replication, as an unprivileged user if the caller is root. */
export const runPostgres: RunServer = async (options, signal) => {
  const home = await dataHome(options.dataDir)
  if (home !== options.dataDir) {
    options.logger.info(`the data of PostgreSQL is in ${home}, because its user cannot access ${options.dataDir}`)
  }
  const user = await findServiceUser(join(home, 'data'))
  await stopOrphan(home, 'SIGQUIT')
  await removeStalePidFile(join(home, 'data'))
  await ensureCluster(home, options, user)
  await assertPortFree(options.port, 'PostgreSQL', 'PONIX_POSTGRES_PORT')
  if (signal.aborted) return
  let level = 'LOG'
  let isReady = false
  let failure = 'no reason given'
  const command = {
    command: join(options.provisionDir, 'postgres'),
    args: ['-D', join(home, 'data'), ...settings(options.port).flatMap((setting) => ['-c', setting])],
    dataDir: home,
    user,
    stopSignal: 'SIGINT',
    stopTimeoutMs: 30_000,
    /** Reads PostgreSQL's log with an empty prefix, `LEVEL:  text`, and logs routine entries at debug level. */
    onLine(line: string) {
      if (line === '') return
      const found = /^([A-Z]+):/.exec(line)?.[1]
      if (found !== undefined && LEVELS.includes(found)) level = found
      // While it serves, FATAL ends the session of one client.
      if (found === 'PANIC' || (found === 'FATAL' && !isReady)) failure = line
      const routine = level === 'LOG' || signal.aborted
      options.logger[routine ? 'debug' : 'warn'](line)
      if (!/^LOG: +database system is ready to accept connections/.test(line)) return
      isReady = true
      options.ready()
    },
  } as const
  const end = await runServerProcess(command, signal)
  if (!signal.aborted) throw new StartupError(`PostgreSQL ended (${end}): ${failure}`)
}

/** Returns the settings for the command line; they are not in the data folder, so that a new version of this program changes them. */
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

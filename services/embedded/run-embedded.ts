import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { lock } from '../../scripts/lock.mjs'
import { StartupError, messageOf } from '../../src/domain/errors.ts'
import { createLogger, type Logger } from '../../src/runner/logger.ts'
import { runService } from '../../src/runner/runner.ts'
import { provideClickHouse, runClickHouse } from './clickhouse/clickhouse.ts'
import { provideMqtt, runMqtt } from './mqtt.ts'
import { provideNats } from './nats-installation.ts'
import { runNats } from './nats.ts'
import { providePostgres } from './postgres/installation.ts'
import { runPostgres } from './postgres/run-postgres.ts'
import { type Provisioning, serversFolder } from './provision.ts'
import type { RunServer, ServerName, SyncInterval } from './server.ts'

export interface EmbeddedServer {
  /** The name in messages. */
  readonly title: string
  readonly defaultPort: number
  readonly defaultMonitoringPort?: number
  /** Finds or installs the program; resolves to its folder. */
  provide(provisioning: Provisioning, dataDir: string): Promise<string>
  readonly run: RunServer
}

export const embeddedServers: Readonly<Record<ServerName, EmbeddedServer>> = {
  postgres: { title: 'PostgreSQL', defaultPort: 15_432, provide: providePostgres, run: runPostgres },
  nats: { title: 'NATS', defaultPort: 14_222, defaultMonitoringPort: 18_222, provide: provideNats, run: runNats },
  clickhouse: {
    title: 'ClickHouse',
    defaultPort: 18_123,
    provide: provideClickHouse,
    run: runClickHouse,
  },
  mqtt: { title: 'MQTT broker', defaultPort: 11_883, provide: provideMqtt, run: runMqtt },
}

export interface EmbeddedOptions {
  readonly port?: number | undefined
  readonly monitoringPort?: number | undefined
  /** Default: `.ponix/data/<name>` in the working directory. */
  readonly data?: string | undefined
  readonly serversDir: string | undefined
  readonly syncInterval: SyncInterval
}

/** Runs one server as a service and exits. */
export async function runEmbedded(name: ServerName, options: EmbeddedOptions): Promise<void> {
  // An unprivileged server must read the files written here; secrets have explicit modes.
  process.umask(0o022)
  const logger = createLogger(name)
  let markReady = (): void => {}
  const ready = new Promise<void>((done) => {
    markReady = done
  })
  await runService({
    service: `embedded-${name}`,
    logger,
    processes: { [name]: (signal) => serve(name, options, logger, markReady, signal) },
    readiness: { [name]: () => ready },
    closerTimeoutMs: 60_000,
  })
}

/** Installs the programs of these servers without running them. */
export async function installServers(names: readonly ServerName[], serversDir: string | undefined): Promise<void> {
  process.umask(0o022)
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort())
  const base = await serversFolder(serversDir)
  for (const name of names) {
    const provisioning = { base, logger: createLogger(name), signal: stop.signal }
    const folder = await embeddedServers[name].provide(provisioning, defaultData(name))
    provisioning.logger.info(`${embeddedServers[name].title} is in ${folder}`)
  }
}

async function serve(
  name: ServerName,
  options: EmbeddedOptions,
  logger: Logger,
  markReady: () => void,
  signal: AbortSignal,
): Promise<void> {
  const server = embeddedServers[name]
  const port = options.port ?? server.defaultPort
  const dataDir = options.data === undefined ? defaultData(name) : resolve(options.data)
  const release = await lockData(dataDir)
  try {
    const base = await serversFolder(options.serversDir)
    const provisionDir = await server.provide({ base, logger, signal }, dataDir)
    const ready = (): void => {
      logger.info({ port, data: dataDir }, `${server.title} listens on 127.0.0.1:${port}`)
      markReady()
    }
    const monitoringPort =
      options.monitoringPort ?? (options.port === undefined ? server.defaultMonitoringPort : undefined)
    const account = { username: 'ponix', password: 'ponix', database: 'ponix' }
    const { syncInterval } = options
    await server.run(
      { name, port, monitoringPort, syncInterval, dataDir, provisionDir, ...account, logger, ready },
      signal,
    )
  } finally {
    await release()
  }
}

function defaultData(name: ServerName): string {
  return resolve(join('.ponix', 'data', name))
}

const OTHER_FOLDER = 'choose another with --data (in the default graph: PONIX_DATA_DIR)'

/** Locks the data folder against other processes; the lock of an ended process is void. */
async function lockData(dataDir: string): Promise<() => Promise<void>> {
  let holder = 0
  try {
    await mkdir(dataDir, { recursive: true })
    const release = await lock(join(dataDir, 'lock'), {
      onHeld(pid) {
        holder = pid
        return false
      },
    })
    if (release !== undefined) return release
  } catch (error) {
    throw new StartupError(`cannot use the data folder ${dataDir}: ${messageOf(error)}; ${OTHER_FOLDER}`, {
      cause: error,
    })
  }
  throw new StartupError(`the data folder ${dataDir} is in use by process ${holder}: stop it, or ${OTHER_FOLDER}`)
}

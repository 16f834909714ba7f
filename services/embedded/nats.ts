import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError } from '../../src/domain/errors.ts'
import { timeoutSignal } from '../../src/runner/timeout-signal.ts'
import { runServerProcess, stopOrphan } from './server-process.ts'
import { assertPortFree, type RunServer, type ServerOptions } from './server.ts'

/** nats-server with JetStream on files. */
export const runNats: RunServer = async (options, signal) => {
  const { dataDir, port, monitoringPort, logger } = options
  await stopOrphan(dataDir, 'SIGINT')
  await assertPortFree(port, 'NATS', 'PONIX_NATS_PORT')
  if (monitoringPort !== undefined) {
    await assertPortFree(monitoringPort, "NATS' monitoring", 'PONIX_NATS_MONITORING_PORT', '--monitoring-port')
  }
  const config = join(dataDir, 'nats-server.conf')
  await mkdir(join(dataDir, 'jetstream'), { recursive: true })
  await writeFile(config, configuration(options))
  let failure = 'no reason given'
  const command = {
    command: join(options.provisionDir, 'nats-server'),
    args: ['--config', config],
    dataDir,
    stopSignal: 'SIGINT',
    stopTimeoutMs: 20_000,
    onLine(line: string) {
      const routine = line.includes('[INF]')
      if (!routine) failure = line
      logger[routine ? 'debug' : 'warn'](line)
    },
  } as const
  const ended = new AbortController()
  void answers(port, ended.signal).then((answered) => answered && options.ready())
  const end = await runServerProcess(command, signal)
  ended.abort()
  if (!signal.aborted) throw new StartupError(`NATS ended (${end}): ${failure}`)
}

function configuration({ dataDir, port, monitoringPort, syncInterval }: ServerOptions): string {
  return [
    'server_name: ponix',
    `listen: "127.0.0.1:${port}"`,
    ...(monitoringPort === undefined ? [] : [`http: "127.0.0.1:${monitoringPort}"`]),
    'jetstream {',
    `  store_dir: ${JSON.stringify(join(dataDir, 'jetstream'))}`,
    // The disk is the limit; each stream has a separate limit.
    '  max_memory_store: 256MB',
    '  max_file_store: 1TB',
    // A killed process loses nothing, because the system's page cache has every acknowledged message; a power failure can.
    `  sync_interval: ${syncInterval}`,
    '}',
    '',
  ].join('\n')
}

/** Resolves to true when the greeting reports JetStream; the server listens after it has recovered its streams. */
async function answers(port: number, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    const socket = connect(port, '127.0.0.1').setEncoding('utf8')
    try {
      const [greeting]: unknown[] = await once(socket, 'data', { signal: timeoutSignal(2000) })
      if (String(greeting).includes('"jetstream":true')) return true
    } catch {
      // It does not listen yet.
    } finally {
      socket.destroy()
    }
    await sleep(50)
  }
  return false
}

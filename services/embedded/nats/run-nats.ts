import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ServerError } from '../../../src/domain/errors.ts'
import { assertPortFree } from '../port.ts'
import { startServerProcess, stopOrphan } from '../server-process.ts'
import type { RunServer, ServerOptions } from '../server.ts'
import { natsVersion } from './installation.ts'

const MONITORING = { server: "NATS' monitoring", flag: '--monitoring-port', setting: 'PONIX_NATS_MONITORING_PORT' }

/** nats-server with JetStream on files. `provisionDir` has its program. */
export const runNats: RunServer = async (options, signal) => {
  const { dataDir, port, monitoringPort, logger } = options
  await stopOrphan(dataDir, 'SIGINT')
  await assertPortFree(port, { server: 'NATS', flag: '--port', setting: 'PONIX_NATS_PORT' })
  if (monitoringPort !== undefined) await assertPortFree(monitoringPort, MONITORING)
  const config = join(dataDir, 'nats-server.conf')
  await mkdir(join(dataDir, 'jetstream'), { recursive: true })
  await writeFile(config, await configuration(options))
  let failure = 'it gave no reason'
  const server = await startServerProcess({
    command: join(options.provisionDir, 'nats-server'),
    args: ['--config', config],
    dataDir,
    stopSignal: 'SIGINT',
    stopTimeoutMs: 20_000,
    onLine(line) {
      const routine = line.includes('[INF]')
      if (!routine) failure = line
      logger[routine ? 'debug' : 'warn'](line)
    },
  })
  const stop = (): void => void server.stop()
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const over = new AbortController()
  void answers(port, over.signal).then((answered) => answered && options.ready())
  const end = await server.ended
  over.abort()
  signal.removeEventListener('abort', stop)
  if (!signal.aborted) throw new ServerError(`NATS ended (${end}): ${failure}`)
}

async function configuration(options: ServerOptions): Promise<string> {
  const { dataDir, port, monitoringPort, provisionDir } = options
  const [major, minor] = (await natsVersion(provisionDir)) ?? [0, 0]
  // Before 2.10 the interval is fixed (two minutes): what a power cut may take, a killed process does not.
  const canSync = major > 2 || (major === 2 && minor >= 10)
  return [
    'server_name: ponix',
    `listen: "127.0.0.1:${port}"`,
    ...(monitoringPort === undefined ? [] : [`http: "127.0.0.1:${monitoringPort}"`]),
    'jetstream {',
    `  store_dir: ${JSON.stringify(join(dataDir, 'jetstream'))}`,
    // The disk is the limit; each stream has its own.
    '  max_memory_store: 256MB',
    '  max_file_store: 1TB',
    ...(canSync ? ['  sync_interval: always'] : []),
    '}',
    '',
  ].join('\n')
}

/** Resolves true once a client is greeted with JetStream on: the server listens only after it has recovered its streams. */
async function answers(port: number, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if ((await greeting(port)).includes('"jetstream":true')) return true
    await sleep(50)
  }
  return false
}

async function greeting(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  try {
    const [chunk]: unknown[] = await once(socket, 'data', { signal: AbortSignal.timeout(2000) })
    return String(chunk)
  } catch {
    return ''
  } finally {
    socket.destroy()
  }
}

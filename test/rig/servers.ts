import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

export interface PostgresAddress {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly database: string
}

export interface NatsAddress {
  readonly url: string
}

export interface ClickHouseAddress {
  readonly url: string
  readonly username: string
  readonly password: string
  readonly database: string
}

export interface MqttAddress {
  readonly host: string
  readonly port: number
}

/** A real server of one test's own. It dies with the process that started it, however that ends. */
export interface ServerControl extends AsyncDisposable {
  /** What it was given as `--data`. */
  readonly dataDir: string
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** Graceful; resolves when it is gone. */
  stop(): Promise<void>
  /** Again after `kill` or `stop`, on the same port and data; resolves when it is ready. */
  start(): Promise<void>
}

declare module 'vitest' {
  interface ProvidedContext {
    postgres: PostgresAddress
    nats: NatsAddress
    clickhouse: ClickHouseAddress
    mqtt: MqttAddress
  }
}

export async function startPostgres(): Promise<PostgresAddress & ServerControl> {
  const { control, port } = await startServer('postgres')
  return { host: '127.0.0.1', port, username: 'ponix', password: 'ponix', database: 'ponix', ...control }
}

export async function startNats(): Promise<NatsAddress & ServerControl> {
  const { control, port } = await startServer('nats')
  return { url: `nats://127.0.0.1:${port}`, ...control }
}

export async function startClickHouse(): Promise<ClickHouseAddress & ServerControl> {
  const { control, port } = await startServer('clickhouse')
  return { url: `http://127.0.0.1:${port}`, username: 'ponix', password: 'ponix', database: 'ponix', ...control }
}

export async function startMqtt(): Promise<MqttAddress & ServerControl> {
  const { control, port } = await startServer('mqtt')
  return { host: '127.0.0.1', port, ...control }
}

type ServerName = 'postgres' | 'nats' | 'clickhouse' | 'mqtt'

/** A port of the loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function startServer(name: ServerName): Promise<{ readonly control: ServerControl; readonly port: number }> {
  const port = await freePort()
  const dataDir = await mkdtemp(join(tmpdir(), `ponix-${name}-`))
  let running: ChildProcess | undefined

  async function end(how: (child: ChildProcess) => Promise<void>): Promise<void> {
    const child = running
    running = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    await how(child)
    await gone
  }
  const stop = (): Promise<void> =>
    end(async (child) => {
      child.kill('SIGTERM')
    })
  const control: ServerControl = {
    dataDir,
    stop,
    kill: () => end((child) => killWhole(child, dataDir)),
    async start() {
      running = await launch(name, port, dataDir)
    },
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
  await control.start()
  return { control, port }
}

const program = fileURLToPath(new URL('../../dist/embedded.js', import.meta.url))

/** Standard input is what ties the server to this process: it stops when nobody holds the other end any more. */
async function launch(name: ServerName, port: number, dataDir: string): Promise<ChildProcess> {
  if (!existsSync(program)) throw new Error(`${program} is not built: npm run build`)
  const args = [program, name, '--port', String(port), '--data', dataDir, '--stop-with-stdin']
  const child = spawn(process.execPath, args, {
    env: { ...process.env, NOTIFY_FD: '3', PONIX_LOG_LEVEL: 'info' },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  })
  const said = collect([child.stdout, child.stderr])
  const notify = child.stdio[3]
  if (notify === null || notify === undefined) throw new Error('no pipe for NOTIFY_FD')
  const ready = once(notify, 'data').then(() => true)
  const isReady = await Promise.race([ready, once(child, 'close').then(() => false)])
  if (!isReady) throw new Error(`${name} did not start:\n${said()}`)
  return child
}

/** The end of what a child says; what is not read would block it. */
function collect(streams: readonly (Readable | null)[]): () => string {
  let text = ''
  for (const stream of streams) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-8192)
    })
  }
  return () => text
}

/** The server itself, if it is a program of its own, and the one that looks after it. */
async function killWhole(child: ChildProcess, dataDir: string): Promise<void> {
  const pid = Number(await readFile(join(dataDir, 'server.pid'), 'utf8').catch(() => '0'))
  if (pid > 1) process.kill(pid, 'SIGKILL')
  child.kill('SIGKILL')
}

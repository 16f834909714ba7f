import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { builtProgram, Program } from './program.ts'

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

/** A server of one test. It stops when the process that started it ends. */
export interface ServerControl extends AsyncDisposable {
  /** The value of `--data`. */
  readonly dataDir: string
  /** Sends SIGKILL; resolves when the server has ended. */
  kill(): Promise<void>
  /** Sends SIGTERM; resolves when the server has ended. */
  stop(): Promise<void>
  /** Starts the server again after `kill` or `stop`, with the same port and data; resolves when it is ready. */
  start(): Promise<void>
}

declare module 'vitest' {
  interface ProvidedContext {
    /** A folder that is removed after the last file of the project. */
    folder: string
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

/** Debian's mosquitto, a broker of MQTT 5 and 3.1.1, by default with sessions in memory and without a limit of queued messages. */
export async function startMosquitto(settings = 'max_queued_messages 0'): Promise<MqttAddress & ServerControl> {
  const { control, port } = await startServer('mosquitto', settings)
  return { host: '127.0.0.1', port, ...control }
}

type ServerName = 'postgres' | 'nats' | 'clickhouse' | 'mqtt' | 'mosquitto'

/**
 * Returns a port of the loopback interface that is free and that the operating system gives to no other program for a minute.
 * A connection that the server's side closes first leaves the port in the state TIME-WAIT (RFC 9293, section 3.6): a server
 * can listen on it with SO_REUSEADDR, as all servers here do, but the system does not choose it for port 0.
 */
export async function freePort(): Promise<number> {
  const server = createServer((peer) => peer.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  await once(connect(address.port, '127.0.0.1').resume(), 'close')
  server.close()
  await once(server, 'close')
  return address.port
}

async function startServer(
  name: ServerName,
  settings = '',
): Promise<{ readonly control: ServerControl; readonly port: number }> {
  const port = await freePort()
  const dataDir = await mkdtemp(join(tmpdir(), `ponix-${name}-`))
  let running: Program | undefined

  const control: ServerControl = {
    dataDir,
    async stop() {
      await running?.stop()
    },
    async kill() {
      if (running === undefined || running.hasEnded) return
      // PostgreSQL and NATS are separate programs, supervised by the program started here.
      const pid = Number(await readFile(join(dataDir, 'server.pid'), 'utf8').catch(() => '0'))
      if (pid > 1) process.kill(pid, 'SIGKILL')
      await running.kill()
    },
    async start() {
      running = await (name === 'mosquitto' ? launchMosquitto(port, dataDir, settings) : launch(name, port, dataDir))
    },
    async [Symbol.asyncDispose]() {
      await control.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
  await control.start()
  return { control, port }
}

/** Starts a server. A pipe to its standard input ties it to this process: it stops when the other end is closed. */
async function launch(name: Exclude<ServerName, 'mosquitto'>, port: number, dataDir: string): Promise<Program> {
  const args = [builtProgram('embedded'), name, '--port', String(port), '--data', dataDir, '--stop-with-stdin']
  const env = { ...process.env, PONIX_LOG_LEVEL: 'info' }
  const server = new Program(process.execPath, args, { stdin: true, notify: true, env })
  await server.ready()
  return server
}

async function launchMosquitto(port: number, dataDir: string, settings: string): Promise<Program> {
  const config = join(dataDir, 'mosquitto.conf')
  const common = `listener ${port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\npersistence_location ${dataDir}/\n`
  // Without "user", root's mosquitto could not write to the folder.
  await writeFile(config, `${common}user ${userInfo().username}\n${settings}\n`)
  // Debian installs it where only root's PATH leads.
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` }
  const server = new Program('mosquitto', ['-c', config], { env })
  await server.seen(/mosquitto version \S+ running/)
  return server
}

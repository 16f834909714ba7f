import { spawn, type ChildProcess } from 'node:child_process'
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

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
  await chmod(dataDir, 0o755)
  let child: ChildProcess | undefined

  async function end(signal: NodeJS.Signals): Promise<void> {
    const running = child
    child = undefined
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
    running.kill(signal)
    await once(running, 'close')
  }
  const control: ServerControl = {
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    async start() {
      child = await launch(name, port, dataDir)
    },
    async [Symbol.asyncDispose]() {
      await end('SIGTERM')
      await rm(dataDir, { recursive: true, force: true })
    },
  }
  await control.start()
  return { control, port }
}

async function launch(name: ServerName, port: number, dataDir: string): Promise<ChildProcess> {
  if (name === 'postgres') return launchPostgres(port, dataDir)
  if (name === 'nats') {
    return guarded(
      '/tmp/n/out/usr/sbin/nats-server',
      ['-js', '-sd', dataDir, '-a', '127.0.0.1', '-p', String(port)],
      port,
    )
  }
  throw new Error(`the rig cannot start ${name} yet`)
}

async function launchPostgres(port: number, dataDir: string): Promise<ChildProcess> {
  const bin = '/usr/lib/postgresql/15/bin'
  const user = { uid: 65534, gid: 65534 }
  await chown(dataDir, user.uid, user.gid)
  const data = join(dataDir, 'data')
  const init = spawn(
    '/bin/sh',
    [
      '-c',
      `test -f ${data}/PG_VERSION || { echo ponix > ${dataDir}/pw; ${bin}/initdb -D ${data} -U ponix --pwfile ${dataDir}/pw -A scram-sha-256 -E UTF8 --no-locale --no-sync; }`,
    ],
    { ...user, stdio: 'ignore', cwd: dataDir },
  )
  await once(init, 'close')
  const settings = ['wal_level=logical', 'listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_wal_senders=20']
  const more = ['max_replication_slots=20', `port=${port}`, 'max_connections=200']
  const child = await guarded(
    `${bin}/postgres`,
    ['-D', data, ...[...settings, ...more].flatMap((setting) => ['-c', setting])],
    port,
    { ...user, cwd: dataDir },
  )
  const create = spawn(
    `${bin}/psql`,
    ['-h', '127.0.0.1', '-p', String(port), '-U', 'ponix', 'postgres', '-c', 'create database ponix'],
    { env: { ...process.env, PGPASSWORD: 'ponix' }, stdio: 'ignore' },
  )
  await once(create, 'close')
  return child
}

/** Starts a program that ends when this process does: a shell beside it waits for the end of a pipe that only we hold. */
async function guarded(
  command: string,
  args: readonly string[],
  port: number,
  options: { readonly uid?: number; readonly gid?: number; readonly cwd?: string } = {},
): Promise<ChildProcess> {
  const child = spawn(command, args, { ...options, stdio: 'ignore' })
  const watch = spawn('/bin/sh', ['-c', 'read -r _; kill -INT "$1"', 'sh', String(child.pid)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watch.unref()
  child.once('exit', () => watch.kill('SIGKILL'))
  while (!(await accepts(port))) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${command} ended at once`)
  }
  return child
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => setTimeout(resolve, 50, false))
  })
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { processorTime, processTree } from '../supervisor/proc.ts'

/** Debian installs servers in the last of these folders, which is not in the PATH of users. */
const FOLDERS = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin']

/** A private server. It stops when the benchmark's process ends, even by a crash. */
export class BenchServer {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  /** Resolves when the server is ready. */
  static async start(
    root: string,
    name: 'postgres' | 'nats' | 'clickhouse' | 'mqtt',
    scratch: string,
  ): Promise<BenchServer> {
    const port = await freePort()
    const data = join(scratch, name)
    const args = [join(root, 'dist', 'embedded.js'), name, '--port', String(port), '--data', data, '--stop-with-stdin']
    const child = spawn(process.execPath, args, {
      env: { ...process.env, NOTIFY_FD: '3', PONIX_LOG_LEVEL: 'error' },
      stdio: ['pipe', 'ignore', 'inherit', 'pipe'],
    })
    const notify = child.stdio[3]
    if (notify === null || notify === undefined) throw new Error('the child has no pipe for NOTIFY_FD')
    const isReady = await Promise.race([once(notify, 'data').then(() => true), once(child, 'exit').then(() => false)])
    if (!isReady) throw new Error(`the embedded ${name} did not start`)
    return new BenchServer(child, port)
  }

  /** Starts Debian's mosquitto without a limit of queued messages. */
  static async startMosquitto(scratch: string): Promise<BenchServer> {
    const program = installed('mosquitto')
    if (program === null) throw new Error('mosquitto is not installed')
    const port = await freePort()
    const folder = join(scratch, 'mosquitto')
    mkdirSync(folder)
    const config = join(folder, 'mosquitto.conf')
    writeFileSync(
      config,
      `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nlog_dest stderr\nlog_type notice\nlog_type information\n`,
    )
    const child = spawn(program, ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] })
    for await (const line of createInterface({ input: child.stderr })) if (line.includes('running')) break
    child.stderr.resume()
    return new BenchServer(child, port)
  }

  /** Processor time in ms of the server and of the processes that it has started. */
  get processorMs(): number {
    const pids = processTree(this.#child.pid ?? 0, new Set())
    return pids.reduce((sum, pid) => sum + processorTime(pid), 0)
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await exited
  }
}

/** Returns the path of a program, or null if it is not installed. */
export function installed(name: string): string | null {
  return FOLDERS.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'

/** A private embedded server. It stops when the benchmark's process ends, even by a crash. */
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

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await exited
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

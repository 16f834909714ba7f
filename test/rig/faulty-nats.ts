import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/**
 * What happens to the acknowledgements of JetStream on their way: all arrive; from the n-th on they are lost, though the message
 * was stored (`drop`); the connection is cut at the n-th, once (`cut`); each is late (`hold`).
 */
export type AckFault =
  | { readonly kind: 'none' }
  | { readonly kind: 'drop' | 'cut'; readonly at: number }
  | { readonly kind: 'hold'; readonly ms: number }

/** Stands between a program and NATS, and does to the acknowledgements what the script says. */
export class FaultyNats implements AsyncDisposable {
  readonly url: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #fault: AckFault = { kind: 'none' }
  #acks = 0

  private constructor(server: Server, url: string) {
    this.#server = server
    this.url = url
  }

  static async start(target: string): Promise<FaultyNats> {
    const { hostname, port } = new URL(target)
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const own = typeof address === 'object' && address !== null ? address.port : 0
    const proxy = new FaultyNats(server, `nats://127.0.0.1:${own}`)
    server.on('connection', (client) => proxy.#join(client, connect(Number(port), hostname)))
    return proxy
  }

  /** From here on; acknowledgements are counted anew. */
  script(fault: AckFault): void {
    this.#fault = fault
    this.#acks = 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #join(client: Socket, nats: Socket): void {
    const end = (): void => {
      client.destroy()
      nats.destroy()
      this.#sockets.delete(client)
      this.#sockets.delete(nats)
    }
    for (const socket of [client, nats]) {
      this.#sockets.add(socket)
      socket.setNoDelay(true).on('error', end).on('close', end)
    }
    client.pipe(nats)
    const frames = new FrameSplitter()
    nats.on('data', (bytes: Buffer) => {
      for (const frame of frames.split(bytes)) this.#pass(frame, client, end)
    })
  }

  #pass(frame: Buffer, client: Socket, cut: () => void): void {
    const fault = this.#fault
    const isAck = frame.includes('"seq":') && frame.includes('"stream":') && !frame.includes('"type":')
    if (isAck) this.#acks += 1
    if (!isAck || fault.kind === 'none') return void client.write(frame)
    if (fault.kind === 'hold') return void setTimeout(() => client.write(frame), fault.ms)
    if (this.#acks < fault.at) return void client.write(frame)
    if (fault.kind === 'drop') return
    this.#fault = { kind: 'none' }
    cut()
  }
}

/** Cuts what NATS sends into whole messages. */
class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0)

  split(bytes: Buffer): readonly Buffer[] {
    this.#rest = Buffer.concat([this.#rest, bytes])
    const frames: Buffer[] = []
    for (;;) {
      const line = this.#rest.indexOf('\r\n')
      if (line === -1) return frames
      const header = this.#rest.toString('latin1', 0, line)
      const body = /^H?MSG .* (\d+)$/.exec(header)
      const end = line + 2 + (body === null ? 0 : Number(body[1]) + 2)
      if (this.#rest.length < end) return frames
      frames.push(this.#rest.subarray(0, end))
      this.#rest = this.#rest.subarray(end)
    }
  }
}

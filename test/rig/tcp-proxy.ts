import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** One proxied connection. */
export interface ProxiedLink {
  toServer(bytes: Buffer): void
  toClient(bytes: Buffer): void
  /** Closes both sides of the connection. */
  cut(): void
  /** Closes the connection to the server; the client receives nothing, not even the end of its connection. */
  loseServer(): void
}

/** Handlers for the bytes of one connection. */
export interface ProxyPassage {
  fromClient(bytes: Buffer): void
  fromServer(bytes: Buffer): void
  /** Called when the connection has closed. */
  closed?(): void
}

/** A proxy to a local server; a connection closes when either side closes it. */
export class TcpProxy implements AsyncDisposable {
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
  }

  /** Starts a proxy; calls `join` for each connection. */
  static async start(target: string, join: (link: ProxiedLink) => ProxyPassage): Promise<TcpProxy> {
    const { hostname, port } = new URL(target)
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const own = typeof address === 'object' && address !== null ? address.port : 0
    const proxy = new TcpProxy(server, own)
    server.on('connection', (client) => proxy.#connect(client, connect(Number(port), hostname), join))
    return proxy
  }

  /** Closes all connections; new ones are accepted. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #connect(client: Socket, server: Socket, join: (link: ProxiedLink) => ProxyPassage): void {
    let lost = false
    let onClosed: ProxyPassage['closed']
    const cut = (): void => {
      if (lost) return
      onClosed?.()
      onClosed = undefined
      client.destroy()
      server.destroy()
      this.#sockets.delete(client)
      this.#sockets.delete(server)
    }
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.setNoDelay(true).on('error', cut).on('close', cut)
    }
    const passage = join({
      toServer: (bytes) => void server.write(bytes),
      toClient: (bytes) => void client.write(bytes),
      cut,
      loseServer: () => {
        lost = true
        server.destroy()
      },
    })
    onClosed = () => passage.closed?.()
    client.on('data', (bytes: Buffer) => passage.fromClient(bytes))
    server.on('data', (bytes: Buffer) => passage.fromServer(bytes))
  }
}

/** Starts a server until the end of the test; resolves with its port. */
export async function listen(server: Server, host = '127.0.0.1', port = 0): Promise<number> {
  onTestFinished(() => void server.close())
  server.listen(port, host)
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('expected a TCP address')
  return address.port
}

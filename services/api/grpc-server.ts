import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js'
import { StartupError, messageOf } from '../../src/domain/errors.ts'
import { assertLoopback } from './environment.ts'
import type { Observer } from './observer.ts'
import type { Route } from './route.ts'
import { UnreadAnswers } from './unread-answers.ts'

export interface GrpcServerOptions {
  readonly host: string
  /** 0 means any free port. */
  readonly port: number
  readonly routes: readonly Route[]
  /** Aborted by a shutdown to end endless streams, because the shutdown waits for every open call. */
  readonly streams: AbortController
  readonly observe: Observer
  /** The time for running calls to end during a shutdown. Default 10,000. */
  readonly drainMs?: number
}

/** The size limit of a request: a gateway_config of 64 KiB in any encoding, and the other fields. */
const MAX_REQUEST_BYTES = 256 * 1024
/** The limit of concurrent calls of a connection; a client delays further ones. */
const MAX_STREAMS = { 'grpc.max_concurrent_streams': 256 }
/** Options that end the streams of clients that disappear without closing their connection. */
const KEEPALIVE = { 'grpc.keepalive_time_ms': 60_000, 'grpc.keepalive_timeout_ms': 20_000 }

// Errors arrive as values; grpc-js would also write them to stderr.
setLogVerbosity(logVerbosity.NONE)

/** The gRPC server on plaintext HTTP/2. */
export class GrpcServer {
  readonly #options: GrpcServerOptions
  readonly #server: Server

  constructor(options: GrpcServerOptions) {
    this.#options = options
    this.#server = new Server({ 'grpc.max_receive_message_length': MAX_REQUEST_BYTES, ...MAX_STREAMS, ...KEEPALIVE })
    const unread = new UnreadAnswers()
    for (const route of options.routes) route.register(this.#server, options.observe, unread)
  }

  /** Listens; resolves to the bound address. Throws a StartupError: not loopback, port in use, no such address. */
  async listen(): Promise<string> {
    const { host, port } = this.#options
    await assertLoopback(host)
    const name = isIPv6(host) ? `[${host}]` : host
    return await new Promise((resolve, reject) => {
      this.#server.bindAsync(`${name}:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(`${name}:${bound}`)
        else reject(cannotListen(`${name}:${port}`, error))
      })
    })
  }

  /** Serves until the signal aborts; then rejects new calls, drains the running calls and cancels the rest. */
  async run(signal: AbortSignal): Promise<void> {
    if (!signal.aborted) await once(signal, 'abort')
    const { streams, drainMs = 10_000 } = this.#options
    const drained = new Promise<void>((resolve) => {
      this.#server.tryShutdown(() => resolve())
    })
    streams.abort()
    const force = setTimeout(() => this.#server.forceShutdown(), drainMs)
    await drained
    clearTimeout(force)
  }
}

function cannotListen(address: string, error: Error): StartupError {
  const reason = error.message.includes('EADDRINUSE')
    ? 'the port is in use by another program: stop it, or set PONIX_GRPC_PORT to another port'
    : `${messageOf(error)}: check PONIX_GRPC_HOST and PONIX_GRPC_PORT`
  return new StartupError(`cannot listen on ${address} for gRPC: ${reason}`, { cause: error })
}

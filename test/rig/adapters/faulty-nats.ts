import { type ProxiedLink, type ProxyPassage, TcpProxy } from '../tcp-proxy.ts'

/**
 * A fault in JetStream's acknowledgements: from the n-th on they are lost although the message was stored (`drop`); the
 * connection is cut once, at the n-th (`cut`); each is delayed (`hold`). `trickle` delivers frames one by one instead of in
 * chunks, so that more happens between two messages.
 */
export type AckFault =
  | { readonly kind: 'none' }
  | { readonly kind: 'trickle' }
  | { readonly kind: 'drop' | 'cut'; readonly at: number }
  | { readonly kind: 'hold'; readonly ms: number }

/** A proxy between a program and NATS that applies a fault to acknowledgements. */
export class FaultyNats implements AsyncDisposable {
  #proxy: TcpProxy | undefined
  #fault: AckFault = { kind: 'none' }
  #acks = 0

  private constructor() {}

  static async start(target: string): Promise<FaultyNats> {
    const faulty = new FaultyNats()
    faulty.#proxy = await TcpProxy.start(target, (link) => faulty.#join(link))
    return faulty
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#proxy?.port}`
  }

  /** Sets the fault and resets the count of acknowledgements. */
  script(fault: AckFault): void {
    this.#fault = fault
    this.#acks = 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.[Symbol.asyncDispose]()
  }

  #join(link: ProxiedLink): ProxyPassage {
    const frames = new FrameSplitter()
    return {
      fromClient: (bytes) => link.toServer(bytes),
      fromServer: (bytes) => {
        for (const frame of frames.split(bytes)) this.#pass(frame, link)
      },
    }
  }

  #pass(frame: Buffer, link: ProxiedLink): void {
    const fault = this.#fault
    const isAck = frame.includes('"seq":') && frame.includes('"stream":') && !frame.includes('"type":')
    if (isAck) this.#acks += 1
    if (!isAck || fault.kind === 'none' || fault.kind === 'trickle') return link.toClient(frame)
    if (fault.kind === 'hold') return void setTimeout(() => link.toClient(frame), fault.ms)
    if (this.#acks < fault.at) return link.toClient(frame)
    if (fault.kind === 'drop') return
    this.#fault = { kind: 'none' }
    link.cut()
  }
}

/** Splits the byte stream of NATS or its client into complete protocol messages. */
export class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0)

  split(bytes: Buffer): readonly Buffer[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const frames: Buffer[] = []
    for (;;) {
      const line = this.#rest.indexOf('\r\n')
      if (line === -1) return frames
      const header = this.#rest.toString('latin1', 0, line)
      const body = /^H?(?:MSG|PUB) .* (\d+)$/.exec(header)
      const end = line + 2 + (body === null ? 0 : Number(body[1]) + 2)
      if (this.#rest.length < end) return frames
      frames.push(this.#rest.subarray(0, end))
      this.#rest = this.#rest.subarray(end)
    }
  }
}

import { FrameSplitter } from '../adapters/faulty-nats.ts'
import { type ProxiedLink, type ProxyPassage, TcpProxy } from '../tcp-proxy.ts'

/** Messages between analytics and its servers at which a crash can be injected. */
export const CRASH_POINTS = [
  'processed envelope sent',
  'processed envelope stored',
  'deferred envelope sent',
  'deferred envelope stored',
  'surplus sent',
  'surplus stored',
  'raw envelope acknowledged',
  'deferred envelope acknowledged',
  'surplus acknowledged',
  'insert sent',
  'insert acknowledged',
  'row acknowledged',
  'dead letter sent',
  'dead letter stored',
  'message terminated',
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]

export interface CrashScript<Point extends string = CrashPoint> {
  readonly point: Point
  /** The crash happens when the point is reached for the n-th time. */
  readonly at: number
  /** Whether the message passes before the crash. If not, all connections are cut. */
  readonly passes: boolean
  /** Called at the point, to inject the crash. */
  onReached(): void
}

/** Proxies that inject a crash at a scripted point. */
export class CrashScripts<Point extends string> implements AsyncDisposable {
  readonly #proxies: TcpProxy[] = []
  #script: CrashScript<Point> | undefined
  #reached = 0

  /** Sets the next crash; undefined lets everything pass. */
  script(script: CrashScript<Point> | undefined): void {
    this.#script = script
    this.#reached = 0
  }

  cut(): void {
    for (const proxy of this.#proxies) proxy.cut()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const proxy of this.#proxies) await proxy[Symbol.asyncDispose]()
  }

  /** Starts a proxy; resolves with its port. */
  protected async open(target: string, join: (link: ProxiedLink) => ProxyPassage): Promise<number> {
    const proxy = await TcpProxy.start(target, join)
    this.#proxies.push(proxy)
    return proxy.port
  }

  /** Passes a message on; `point` is where it is. */
  protected pass(point: Point | undefined, send: () => void): void {
    const script = this.#script
    if (point === undefined || script?.point !== point || ++this.#reached !== script.at) return send()
    if (script.passes) send()
    script.onReached()
    if (!script.passes) this.cut()
  }
}

/** A proxy between analytics and NATS and ClickHouse that injects a crash at a scripted point. */
export class CrashTap extends CrashScripts<CrashPoint> {
  variables: Readonly<Record<string, string>> = {}

  static async start(natsUrl: string, clickhouseUrl: string): Promise<CrashTap> {
    const tap = new CrashTap()
    const natsPort = await tap.open(natsUrl, (link) => tap.#joinNats(link))
    const clickhousePort = await tap.open(clickhouseUrl, (link) => tap.#joinClickHouse(link))
    tap.variables = {
      PONIX_NATS_URL: `nats://127.0.0.1:${natsPort}`,
      PONIX_CLICKHOUSE_URL: `http://127.0.0.1:${clickhousePort}`,
    }
    return tap
  }

  #joinNats(link: ProxiedLink): ProxyPassage {
    const [sent, received] = [new FrameSplitter(), new FrameSplitter()]
    return {
      fromClient: (bytes) => {
        for (const frame of sent.split(bytes)) this.pass(sentPoint(frame), () => link.toServer(frame))
      },
      fromServer: (bytes) => {
        for (const frame of received.split(bytes)) this.pass(storedPoint(frame), () => link.toClient(frame))
      },
    }
  }

  #joinClickHouse(link: ProxiedLink): ProxyPassage {
    let inserting = false
    return {
      fromClient: (bytes) => {
        const begins = bytes.includes('insert_deduplication_token')
        inserting ||= begins
        this.pass(begins ? 'insert sent' : undefined, () => link.toServer(bytes))
      },
      fromServer: (bytes) => {
        const answers = inserting
        inserting = false
        this.pass(answers ? 'insert acknowledged' : undefined, () => link.toClient(bytes))
      },
    }
  }
}

function sentPoint(frame: Buffer): CrashPoint | undefined {
  if (frame[0] !== 0x50 && frame[0] !== 0x48) return undefined
  const line = frame.toString('latin1', 0, frame.indexOf('\r\n'))
  const [, subject = ''] = line.split(' ')
  if (subject.startsWith('processed_envelopes.')) return 'processed envelope sent'
  if (subject.startsWith('deferred_envelopes.')) return 'deferred envelope sent'
  if (subject.startsWith('surplus_envelopes.')) return 'surplus sent'
  if (subject.startsWith('dead_letters.')) return 'dead letter sent'
  if (!subject.startsWith('$JS.ACK.')) return undefined
  if (frame.includes('+TERM')) return 'message terminated'
  if (!frame.includes('+ACK')) return undefined
  if (subject.startsWith('$JS.ACK.deferred_envelopes.')) return 'deferred envelope acknowledged'
  if (subject.startsWith('$JS.ACK.surplus_envelopes.')) return 'surplus acknowledged'
  return subject.startsWith('$JS.ACK.raw_envelopes.') ? 'raw envelope acknowledged' : 'row acknowledged'
}

function storedPoint(frame: Buffer): CrashPoint | undefined {
  if (!frame.includes('"seq":') || frame.includes('"type":')) return undefined
  if (frame.includes('"stream":"processed_envelopes"')) return 'processed envelope stored'
  if (frame.includes('"stream":"deferred_envelopes"')) return 'deferred envelope stored'
  if (frame.includes('"stream":"surplus_envelopes"')) return 'surplus stored'
  return frame.includes('"stream":"dead_letters"') ? 'dead letter stored' : undefined
}

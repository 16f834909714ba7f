import { FrameSplitter } from '../adapters/faulty-nats.ts'
import type { ProxiedLink, ProxyPassage } from '../tcp-proxy.ts'
import { CrashScripts } from '../services/crash-tap.ts'

/** Messages between gateway-orchestrator, its broker and NATS at which a crash can be injected. */
export const GATEWAY_CRASH_POINTS = [
  'message sent',
  'envelope sent',
  'envelope stored',
  'message acknowledged',
] as const

export type GatewayCrashPoint = (typeof GATEWAY_CRASH_POINTS)[number]

const PUBLISH = 3
const PUBACK = 4

/** A proxy between gateway-orchestrator, a broker and NATS that injects a crash at a scripted point. */
export class GatewayTap extends CrashScripts<GatewayCrashPoint> {
  #natsPort = 0
  #brokerPort = 0

  static async start(natsUrl: string, brokerUrl: string): Promise<GatewayTap> {
    const tap = new GatewayTap()
    tap.#natsPort = await tap.open(natsUrl, (link) => tap.#joinNats(link))
    tap.#brokerPort = await tap.open(brokerUrl, (link) => tap.#joinBroker(link))
    return tap
  }

  get natsUrl(): string {
    return `nats://127.0.0.1:${this.#natsPort}`
  }

  get brokerUrl(): string {
    return `mqtt://127.0.0.1:${this.#brokerPort}`
  }

  #joinNats(link: ProxiedLink): ProxyPassage {
    const [sent, received] = [new FrameSplitter(), new FrameSplitter()]
    return {
      fromClient: (bytes) => {
        for (const frame of sent.split(bytes)) {
          const isEnvelope = frame.toString('latin1', 0, 30).startsWith('HPUB raw_envelopes.')
          this.pass(isEnvelope ? 'envelope sent' : undefined, () => link.toServer(frame))
        }
      },
      fromServer: (bytes) => {
        for (const frame of received.split(bytes)) {
          const isReply = /"stream":\s?"raw_envelopes",\s?"seq":/.test(frame.toString('latin1'))
          this.pass(isReply ? 'envelope stored' : undefined, () => link.toClient(frame))
        }
      },
    }
  }

  #joinBroker(link: ProxiedLink): ProxyPassage {
    const [sent, received] = [new PacketSplitter(), new PacketSplitter()]
    return {
      fromClient: (bytes) => {
        for (const packet of sent.split(bytes))
          this.pass(typeOf(packet) === PUBACK ? 'message acknowledged' : undefined, () => link.toServer(packet))
      },
      fromServer: (bytes) => {
        for (const packet of received.split(bytes))
          this.pass(typeOf(packet) === PUBLISH ? 'message sent' : undefined, () => link.toClient(packet))
      },
    }
  }
}

function typeOf(packet: Buffer): number {
  return (packet[0] ?? 0) >> 4
}

/** Splits the bytes of a connection into MQTT packets (MQTT 5, 2.1). */
class PacketSplitter {
  #rest: Buffer = Buffer.alloc(0)

  split(bytes: Buffer): readonly Buffer[] {
    this.#rest = Buffer.concat([this.#rest, bytes])
    const packets: Buffer[] = []
    for (;;) {
      const end = this.#endOfFirst()
      if (end === undefined || this.#rest.length < end) return packets
      packets.push(this.#rest.subarray(0, end))
      this.#rest = this.#rest.subarray(end)
    }
  }

  #endOfFirst(): number | undefined {
    let length = 0
    for (let index = 1; index < 5; index += 1) {
      const byte = this.#rest[index]
      if (byte === undefined) return undefined
      length += (byte & 0x7f) << (7 * (index - 1))
      if (byte < 0x80) return index + 1 + length
    }
    return undefined
  }
}

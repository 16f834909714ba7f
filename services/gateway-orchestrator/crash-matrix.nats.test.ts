import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { connectMqttPublisher, type MqttPublisher } from '../../src/mqtt/client.ts'
import { decodeRawEnvelope } from '../../src/proto/envelope.ts'
import { startMosquitto, startMqtt } from '../../test/rig/servers.ts'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'
import type { RunningService } from '../../test/rig/gateways/running-service.ts'
import { GATEWAY_CRASH_POINTS, GatewayTap } from '../../test/rig/gateways/gateway-tap.ts'
import { Random } from '../../test/rig/services/random.ts'

/** The number of kills with each broker; 50 take some minutes. PONIX_GATEWAY_CRASH_SEED repeats the kills of a run. */
const KILLS = Number(process.env['PONIX_GATEWAY_CRASHES'] ?? '3')
const SEED = Number(process.env['PONIX_GATEWAY_CRASH_SEED'] ?? Date.now() % 2 ** 31)
const MS_PER_KILL = 20_000
const DEVICES = 20
const MOST_MESSAGES = 150
/** The time limit for a point to be reached; then the process is killed at any moment. */
const MAX_MS_TO_POINT = 3000
const crashPoint = new URL('../../test/rig/services/crash-point.mjs', import.meta.url).href
/** The approximate number of asynchronous steps of a start, and the maximum number of steps after it, chosen log-uniformly. */
const STEPS_TO_START = 700
const MOST_STEPS_OF_WORK = 10_000

/** Publishes messages of which many are equal, and counts them. */
class Load {
  readonly expected = new Map<string, number>()
  readonly #publisher: MqttPublisher
  readonly #random: Random
  #next = 0

  constructor(publisher: MqttPublisher, random: Random) {
    this.#publisher = publisher
    this.#random = random
  }

  async publish(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#publishOne(`d${this.#random.below(DEVICES)}`)))
  }

  /** Publishes a last message of each device: those before it were delivered before. */
  async publishLast(): Promise<void> {
    await Promise.all(Array.from({ length: DEVICES }, (_, number) => this.#publishOne(`d${number}`, 'last')))
  }

  #payload(): string {
    return this.#random.chance(0.5) ? 'equal' : String(this.#next++)
  }

  get total(): number {
    return [...this.expected.values()].reduce((sum, count) => sum + count, 0)
  }

  async #publishOne(device: string, payload = this.#payload()): Promise<void> {
    increment(this.expected, `${device} ${payload}`)
    await this.#publisher.publish(`o1/${device}`, Buffer.from(payload))
  }
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** Returns how often each message is stored, and each delivery of the broker. */
async function storedCounts(rig: GatewayRig) {
  const messages = new Map<string, number>()
  const deliveries = new Map<string, number>()
  for (const stored of await rig.stored('raw_envelopes')) {
    const { endDeviceId, payload } = decodeRawEnvelope(stored.body)
    increment(messages, `${endDeviceId} ${Buffer.from(payload).toString()}`)
    const [delivery = ''] = stored.header('Ponix-Mqtt').split(' ')
    increment(deliveries, delivery)
  }
  return { messages, deliveries }
}

test.each([
  ['mosquitto', 'message', startMosquitto],
  // aedes can deliver a message that arrives while it resumes a session twice: without DUP and with two packet ids.
  ['the embedded broker', 'delivery', startMqtt],
] as const)(
  `G-8: with %s, ${KILLS} kills of gateway-orchestrator under load lose no message and store each %s once (seed ${SEED})`,
  async (_, unit, startBroker) => {
    const random = new Random(SEED)
    await using rig = await GatewayRig.start(startBroker)
    await rig.begin()
    await using tap = await GatewayTap.start(rig.nats.url, rig.brokerUrl)
    await rig.insert(gateway('g1', 1, { gatewayType: 'mqtt', gatewayConfig: { broker_url: tap.brokerUrl } }))
    const publisher = await connectMqttPublisher({ brokerUrl: rig.brokerUrl, clientId: 'devices' })
    const load = new Load(publisher, random)
    const kills = new Map<string, number>()

    /** Cuts all connections or kills the process at a point; returns where. */
    async function disturb(service: RunningService): Promise<string> {
      const [first, ...others] = GATEWAY_CRASH_POINTS
      const point = random.pick(first, ...others)
      const passes = random.chance(0.5)
      let isReached = false
      const reached = new Promise<void>((resolve) => {
        const onReached = (): void => {
          service.signal('SIGKILL')
          isReached = true
          resolve()
        }
        tap.script({ point, at: 1 + random.below(40), passes, onReached })
      })
      const publishing = load.publish(40 + random.below(MOST_MESSAGES))
      await Promise.race([reached, service.outcome, sleep(MAX_MS_TO_POINT)])
      tap.script(undefined)
      await publishing
      if (isReached) return `${point}, ${passes ? 'which passes' : 'which is lost'}`
      return service.hasEnded ? 'at its crash step' : 'at any moment'
    }

    await using first = await rig.serve({ PONIX_NATS_URL: tap.natsUrl })
    await first.until('g1', 'running')
    await first.kill()
    for (let number = 0; number < KILLS; number += 1) {
      const atStep = random.chance(0.3)
      const step = STEPS_TO_START + Math.floor(MOST_STEPS_OF_WORK ** random.next())
      const crash = atStep ? { NODE_OPTIONS: `--import=${crashPoint}`, CRASH_AT: String(step) } : {}
      await using service = await rig.launch({ PONIX_NATS_URL: tap.natsUrl, ...crash })
      const running = service.until('g1', 'running').catch(() => undefined)
      await load.publish(random.below(MOST_MESSAGES))
      if (random.chance(0.8)) await running
      // What is in flight is delivered again to the same process.
      if (random.chance(0.3)) tap.cut()
      increment(kills, await disturb(service))
      await service.kill()
      await running
    }
    await using last = await rig.serve({ PONIX_NATS_URL: tap.natsUrl })
    await last.until('g1', 'running')
    await load.publishLast()
    await vi.waitFor(async () => {
      const { messages } = await storedCounts(rig)
      const missing = [...load.expected].filter(([key, count]) => (messages.get(key) ?? 0) < count)
      if (missing.length > 0) throw new Error(`not stored: ${missing.map(([key]) => key).join(', ')}`)
    }, WAIT)
    expect(await last.stop()).toBe(0)
    const { messages, deliveries } = await storedCounts(rig)
    const repeated = [...deliveries].filter(([, count]) => count > 1)
    const isRight = (count: number, found: number): boolean => (unit === 'message' ? found === count : found >= count)
    const differing = [...load.expected].filter(([key, count]) => !isRight(count, messages.get(key) ?? 0))
    const wrong = differing.map(([key, count]) => `${key}: ${messages.get(key) ?? 0} of ${count}`)
    console.log(
      `seed ${SEED}: ${load.total} messages\n${[...kills].map(([where, count]) => `  ${count} × ${where}`).join('\n')}`,
    )
    expect(wrong).toEqual([])
    expect(repeated).toEqual([])
    await publisher.close()
    await rig.end()
  },
  60_000 + KILLS * MS_PER_KILL,
)

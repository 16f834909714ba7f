import { afterAll, beforeAll, expect, it } from 'vitest'
import { connectMqttPublisher, type MqttPublisher } from '../../src/mqtt/client.ts'
import { decodeRawEnvelope } from '../../src/proto/envelope.ts'
import { startMosquitto } from '../rig/servers.ts'
import { GatewayFleet, type FleetInstance } from '../rig/gateways/gateway-fleet.ts'
import { GatewayRig } from '../rig/gateways/gateway-rig.ts'
import { Random } from '../rig/services/random.ts'

/**
 * A full run has 1,000 gateways and 100 faults, takes about half an hour, and prints a line for each fault. PONIX_LEASES_SEED repeats the
 * faults of a run, and PONIX_LEASES_FAULTS changes their number:
 *
 *     PONIX_LEASES_FULL=1 npx vitest run --project e2e test/e2e/gateway-leases.test.ts
 */
const FULL = process.env['PONIX_LEASES_FULL'] === '1'
const SEED = Number(process.env['PONIX_LEASES_SEED'] ?? Date.now() % 1e9)
const GATEWAYS = FULL ? 1000 : 30
const FAULTS = ['pause', 'cut', 'kill', 'nats', 'add', 'all'] as const
/** The number of faults of a full run. */
const COUNT = Number(process.env['PONIX_LEASES_FAULTS'] ?? '100')
const REDUCED = ['pause', 'cut', 'kill', 'nats'] as const
const PATIENCE = { timeout: FULL ? 120_000 : 40_000, interval: 50 }
/** The time of a lease; a full run has the default. */
const LEASE_MS = FULL ? 10_000 : 2000
/** The time that the start of the gateways of an instance takes beyond the lease on a loaded machine. */
const MARGIN_MS = FULL ? 30_000 : 10_000
/** Faults after which no instance can serve before NATS or an instance has started. */
const LONGER_MS: Partial<Record<(typeof FAULTS)[number], number>> = { nats: PATIENCE.timeout, all: PATIENCE.timeout }
const TIMEOUT = FULL ? 7_200_000 : 170_000

const random = new Random(SEED)
const IDS = Array.from({ length: GATEWAYS }, (_, number) => `gateway${number}`)

let rig: GatewayRig
let fleet: GatewayFleet
let publisher: MqttPublisher
let published = 0

beforeAll(async () => {
  rig = await GatewayRig.start(startMosquitto)
  await rig.begin()
  await rig.database.sql(
    `INSERT INTO gateways (gateway_id, organization_id, name, gateway_type, gateway_config)
     SELECT id, 'o1', id, 'mqtt', jsonb_build_object('broker_url', $2::text, 'topic', 'o1/' || id) FROM unnest($1::text[]) id`,
    [IDS, rig.brokerUrl],
  )
  fleet = new GatewayFleet(rig, LEASE_MS)
  publisher = await connectMqttPublisher({ brokerUrl: rig.brokerUrl, clientId: 'devices' })
})

afterAll(async () => {
  await publisher.close()
  await rig.end()
  await fleet[Symbol.asyncDispose]()
  await rig[Symbol.asyncDispose]()
})

/** Publishes a message of each gateway's device, with a number of its own. */
async function publishRound(): Promise<void> {
  await Promise.all(IDS.map((id) => publisher.publish(`o1/${id}`, Buffer.from(String(published++)))))
}

/** Resolves when each gateway is served by one of these instances, and each of them serves some. */
async function untilServed(by: readonly FleetInstance[]): Promise<void> {
  const names = by.map(({ name }) => name).sort()
  const serving = () => {
    const served = fleet.recorder.served()
    const each = IDS.map((id) => (served.get(id) ?? []).join(' and ') || 'no instance')
    return [...new Set(each)].sort()
  }
  await expect.poll(serving, PATIENCE).toEqual(names)
}

/** Resolves when each gateway has subscribed. */
async function untilSubscribed(): Promise<void> {
  const running = async () => {
    const reports = await Promise.all(fleet.live.map(({ service }) => service.gateways()))
    return reports.flatMap((own) => Object.values(own)).filter(({ state }) => state === 'running').length
  }
  await expect.poll(running, PATIENCE).toBe(GATEWAYS)
}

async function apply(fault: (typeof FAULTS)[number]): Promise<void> {
  const [first] = fleet.live
  if (first === undefined) throw new Error('no instance')
  const target = random.pick(first, ...fleet.live.slice(1))
  const others = fleet.live.filter((instance) => instance !== target)
  switch (fault) {
    case 'pause':
      target.pause()
      await publishRound()
      await untilServed(others)
      await publishRound()
      target.resume()
      return await publishRound()
    case 'cut':
      target.cutNats()
      await publishRound()
      await untilServed(others)
      await publishRound()
      return target.healNats()
    case 'kill':
      await fleet.kill([target])
      await publishRound()
      return await fleet.add(1)
    case 'nats':
      await rig.nats.kill()
      await publishRound()
      await rig.nats.start()
      // A request of the test itself that is sent before that is lost.
      return await rig.client.link.untilConnected(new AbortController().signal)
    case 'add':
      await fleet.add(1)
      await publishRound()
      return await fleet.stop(target)
    case 'all':
      await fleet.kill(fleet.live)
      await publishRound()
      return await fleet.add(3)
  }
}

/** Publishes a round and resolves when all of it is stored: a pause cannot stop what NATS's client already has. */
async function storeRound(): Promise<void> {
  const { last_seq } = (await rig.client.manager.streams.info('raw_envelopes')).state
  const first = published
  await publishRound()
  await expect.poll(async () => (await missingFrom(first, last_seq + 1)).length, PATIENCE).toBe(0)
}

/** Returns the messages from this one on that are not stored from this sequence on. */
async function missingFrom(first: number, sequence: number): Promise<readonly number[]> {
  const stored = await storedDeliveries(sequence)
  return Array.from({ length: published - first }, (_, index) => first + index).filter((number) => !stored.has(number))
}

/** Returns the deliveries from which each message is stored from this sequence on. */
async function storedDeliveries(sequence: number): Promise<ReadonlyMap<number, readonly string[]>> {
  const deliveries = new Map<number, readonly string[]>()
  if ((await rig.client.manager.streams.info('raw_envelopes')).state.last_seq < sequence) return deliveries
  const consumer = await rig.client.jetstream.consumers.get('raw_envelopes', { opt_start_seq: sequence })
  const messages = await consumer.consume()
  for await (const message of messages) {
    const number = Number(Buffer.from(decodeRawEnvelope(message.data).payload).toString())
    deliveries.set(number, [...(deliveries.get(number) ?? []), message.headers?.get('Ponix-Mqtt') ?? ''])
    if (message.info.pending === 0) break
  }
  return deliveries
}

it(
  `G-13, G-15: of three instances never two serve a gateway, and each message is stored exactly once, whatever fails (seed ${SEED})`,
  async () => {
    await fleet.add(3)
    await untilServed(fleet.live)
    await untilSubscribed()
    fleet.recorder.takeLongestGap()
    const gaps = new Map<string, readonly number[]>()
    const faults = FULL ? Array.from({ length: COUNT }, () => random.pick(...FAULTS)) : REDUCED
    for (const fault of faults) {
      await (fault === 'pause' ? storeRound() : publishRound())
      if (FULL) console.log(`${fault}, after ${published} messages`)
      await apply(fault)
      await untilServed(fleet.live)
      expect(fleet.recorder.violations).toEqual([])
      const gapMs = fleet.recorder.takeLongestGap()
      gaps.set(fault, [...(gaps.get(fault) ?? []), gapMs])
      expect({ fault, isServedInTime: gapMs < LEASE_MS + (LONGER_MS[fault] ?? MARGIN_MS) }).toEqual({
        fault,
        isServedInTime: true,
      })
    }
    // Of each gateway, what was delivered again was delivered before its last message.
    await publishRound()
    await expect.poll(() => missingFrom(0, 1), { ...PATIENCE, interval: 500 }).toEqual([])
    expect(fleet.recorder.violations).toEqual([])
    const repeated = [...(await storedDeliveries(1))].filter(([, deliveries]) => deliveries.length > 1)
    const lines = [...gaps].map(
      ([fault, all]) => `  ${all.length} × ${fault}, at most ${Math.round(Math.max(...all))} ms without service`,
    )
    console.log([`seed ${SEED}: ${published} messages, ${repeated.length} stored again`, ...lines].join('\n'))
    expect(repeated).toEqual([])
  },
  TIMEOUT,
)

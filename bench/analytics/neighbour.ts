import { setTimeout as sleep } from 'node:timers/promises'
import { decodeProcessedEnvelope } from '../../src/proto/envelope.ts'
import { compare, type Figure, median, quantile } from '../report/figures.ts'
import { sensorPayload, type AnalyticsBenchStage, NEIGHBOUR, ORGANIZATION } from './stage.ts'

const PER_SECOND = 200
const SECONDS = 10
const WARM_UP_SECONDS = 2
const DEVICES = 10
/** Devices of the neighbour with each of the two expressions. */
const NOISY_DEVICES = 5
const HOSTILE_PER_SECOND = 100
const MAX_RATIO = 2

const ZEROS = (length: number): string => `[${Array.from({ length }, () => '0').join(',')}]`
/** An expression that far exceeds the time limit. */
const ENDLESS = `{"n": ${ZEROS(400)}.all(a, ${ZEROS(400)}.all(b, ${ZEROS(400)} == ${ZEROS(400)}))}`
/** An expression that stays just below the time limit. */
const HEAVY = `{"n": ${ZEROS(150)}.all(a, ${ZEROS(150)}.all(b, true))}`

/**
 * Measures P-3: the latency from a stored raw envelope to its processed envelope at 200 messages per second, alone and while new
 * devices of another organization send 100 messages per second. The expressions of these devices exceed the time limit or stay
 * just below it.
 */
export async function measureNeighbour(stage: AnalyticsBenchStage, rounds: number): Promise<Figure> {
  await stage.createDevices('quiet-', DEVICES, ORGANIZATION, 'cayenne_lpp_decode(input)')
  await stage.createDevices('endless-', NOISY_DEVICES, NEIGHBOUR, ENDLESS)
  await stage.createDevices('heavy-', NOISY_DEVICES, NEIGHBOUR, HEAVY)
  const disturbed: number[] = []
  const alone: number[] = []
  for (let round = 1; round <= rounds; round += 1) {
    console.error(`bench: P-3, round ${round} of ${rounds}`)
    alone.push(await p99(stage, round, false))
    disturbed.push(await p99(stage, round, true))
  }
  return {
    id: 'P-3',
    what: 'raw → processed envelope, noisy neighbour, p99',
    unit: 'ms',
    ours: median(disturbed),
    beside: compare('no neighbour', disturbed, alone),
    goal: { type: 'ratio', atMost: MAX_RATIO },
  }
}

async function p99(stage: AnalyticsBenchStage, round: number, withNeighbour: boolean): Promise<number> {
  await stage.empty()
  const service = stage.start('analytics')
  await service.logLine('"ready"')
  const name = `${round}-${withNeighbour}`
  const stopping = new AbortController()
  const arrivals = await consume(stage)
  await publish(stage, name, { from: 0, seconds: WARM_UP_SECONDS })
  const neighbour = withNeighbour ? disturb(stage, name, stopping.signal) : Promise.resolve()
  const published = await publish(stage, name, { from: WARM_UP_SECONDS * PER_SECOND, seconds: SECONDS })
  while ([...published.keys()].some((number) => !arrivals.has(number))) await sleep(20)
  stopping.abort()
  await neighbour
  await service.stop()
  const latencies = [...published].map(([number, at]) => (arrivals.get(number) ?? Infinity) - at)
  return quantile(latencies, 0.99)
}

/** Publishes envelopes; returns the time of publication by envelope number. */
async function publish(
  stage: AnalyticsBenchStage,
  name: string,
  { from, seconds }: { readonly from: number; readonly seconds: number },
): Promise<ReadonlyMap<number, number>> {
  const published = new Map<number, number>()
  const stored: Promise<void>[] = []
  const start = performance.now()
  while (published.size < seconds * PER_SECOND) {
    const number = from + published.size
    const waitMs = start + (published.size * 1000) / PER_SECOND - performance.now()
    if (waitMs > 0) await sleep(waitMs)
    published.set(number, performance.now())
    const device = `quiet-${number % DEVICES}`
    stored.push(stage.publishRaw(ORGANIZATION, device, sensorPayload(number), `quiet-${name}-${number}`))
  }
  await Promise.all(stored)
  return published
}

async function disturb(stage: AnalyticsBenchStage, name: string, signal: AbortSignal): Promise<void> {
  for (let number = 0; !signal.aborted; number += 1) {
    const kind = number % 2 === 0 ? 'endless' : 'heavy'
    const device = `${kind}-${(number >> 1) % NOISY_DEVICES}`
    await stage.publishRaw(NEIGHBOUR, device, sensorPayload(number), `neighbour-${name}-${number}`)
    await sleep(1000 / HOSTILE_PER_SECOND)
  }
}

/** Starts a consumer; returns a map, filled as envelopes arrive, from each envelope's number to its arrival time. */
async function consume(stage: AnalyticsBenchStage): Promise<ReadonlyMap<number, number>> {
  const arrivals = new Map<number, number>()
  const consumer = await stage.nats.jetstream.consumers.get('processed_envelopes')
  await consumer.consume({
    max_messages: 5000,
    callback: ({ data }) => {
      const { organizationId, data: values } = decodeProcessedEnvelope(data)
      if (organizationId === ORGANIZATION) arrivals.set(Number(values['generic_sensor_0']), performance.now())
    },
  })
  return arrivals
}

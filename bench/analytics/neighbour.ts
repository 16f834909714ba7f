import { setTimeout as sleep } from 'node:timers/promises'
import { decodeProcessedEnvelope } from '../../src/proto/envelope.ts'
import { compare, type Figure, median, quantile } from '../report/figures.ts'
import { sensorPayload, type AnalyticsBenchStage, NEIGHBOUR, ORGANIZATION } from './stage.ts'

const PER_SECOND = 200
const SECONDS = 10
const WARM_UP_SECONDS = 2
const DEVICES = 10
/** Devices of each hostile kind. */
const HOSTILE_DEVICES = 5
const HOSTILE_PER_SECOND = 100
const MAX_RATIO = 2

const ZEROS = (length: number): string => `[${Array.from({ length }, () => '0').join(',')}]`
/** Far exceeds the time limit. */
const ENDLESS = `{"n": ${ZEROS(400)}.all(a, ${ZEROS(400)}.all(b, ${ZEROS(400)} == ${ZEROS(400)}))}`
/** Stays below the time limit. */
const HEAVY = `{"n": ${ZEROS(150)}.all(a, ${ZEROS(150)}.all(b, true))}`

/**
 * P-3: latency from a stored raw envelope to its processed envelope at 200 per second, alone and while new devices of another
 * organization send 100 per second whose expressions exceed the time limit or stay just below it.
 */
export async function measureNeighbour(stage: AnalyticsBenchStage, rounds: number): Promise<Figure> {
  await stage.createDevices('quiet-', DEVICES, ORGANIZATION, 'cayenne_lpp_decode(input)')
  await stage.createDevices('endless-', HOSTILE_DEVICES, NEIGHBOUR, ENDLESS)
  await stage.createDevices('heavy-', HOSTILE_DEVICES, NEIGHBOUR, HEAVY)
  const disturbed: number[] = []
  const alone: number[] = []
  for (let round = 1; round <= rounds; round += 1) {
    console.error(`bench: P-3, round ${round} of ${rounds}`)
    alone.push(await p99(stage, round, false))
    disturbed.push(await p99(stage, round, true))
  }
  return {
    id: 'P-3',
    what: 'raw → processed envelope, hostile neighbour, p99',
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

/** The time of publication by envelope number. */
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
    const device = `${kind}-${(number >> 1) % HOSTILE_DEVICES}`
    await stage.publishRaw(NEIGHBOUR, device, sensorPayload(number), `hostile-${name}-${number}`)
    await sleep(1000 / HOSTILE_PER_SECOND)
  }
}

/** The time of arrival of each processed envelope by number. */
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

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Codec } from '../../src/domain/codecs/codec.ts'
import { compare, type Figure, median, quantile } from '../report/figures.ts'
import { BenchProgram } from '../rig/program.ts'
import { type Arrivals, createSmallOrganizations, sendLittle, TOTAL, warmUp } from './small-organizations.ts'
import { sensorPayload, type PipelineStage, LARGE_ORGANIZATION } from '../rig/pipeline-stage.ts'

/** The load of the large organization, as a multiple of what the service processes of it. */
const OVERLOAD = 10
/** The minimum load in messages per second, for messages of which the service processes hardly any. */
const MIN_LOAD = 100
const DEVICES = 100
const BACKLOG_SECONDS = 4
const WARM_UP_SECONDS = 1
const FLOODED_WARM_UP_SECONDS = 3
const CAPACITY_SECONDS = 3
const MAX_RATIO = 2
const UNLIMITED = 1_000_000

const ZEROS = (length: number): string => `[${Array.from({ length }, () => '0').join(',')}]`
/** An expression whose time is proportional to the square of the length: about 10 ms with 46, 30 ms with 80, 100 ms with 145. */
const SLOW = (length: number): string =>
  `{"n": ${ZEROS(length)}.all(a, ${ZEROS(length)}.all(b, ${ZEROS(120)} == ${ZEROS(120)}))}`
const cel = (source: string): Codec => ({ kind: 'cel', source })
const javascript = (body: string): Codec => ({ kind: 'javascript', source: `function decodeUplink(input) { ${body} }` })
const DECODE = 'cayenne_lpp_decode(input)'
const MESSAGE = sensorPayload(1).toString('hex')

/** What the large organization sends. */
interface Variant {
  readonly what: string
  readonly devicePrefix: string
  readonly codec: Codec
  /** Sent in turn, in hexadecimal. */
  readonly payloads: readonly string[]
}

const VARIANTS: readonly Variant[] = [
  { what: 'cheap expressions', devicePrefix: 'cheap-', codec: cel(DECODE), payloads: [MESSAGE] },
  {
    what: '1 % slow expressions',
    devicePrefix: 'slow-',
    codec: cel(
      `size(input) == 6 ? ${DECODE} : size(input) == 7 ? ${SLOW(46)} : size(input) == 8 ? ${SLOW(80)} : ${SLOW(145)}`,
    ),
    payloads: [1, 2, 3].flatMap((more) => [MESSAGE + '00'.repeat(more), ...Array.from({ length: 99 }, () => MESSAGE)]),
  },
  { what: 'invalid payloads', devicePrefix: 'invalid-', codec: cel(DECODE), payloads: ['01c8'] },
  {
    what: 'endless expressions',
    devicePrefix: 'endless-',
    codec: cel(SLOW(800)),
    payloads: [MESSAGE],
  },
  {
    what: 'cheap codecs in JavaScript',
    devicePrefix: 'cheap-js-',
    codec: javascript('const { bytes } = input; return { data: { temperature: ((bytes[2] << 8) | bytes[3]) / 10 } }'),
    payloads: [MESSAGE],
  },
  {
    what: '1 % slow codecs in JavaScript',
    devicePrefix: 'slow-js-',
    codec: javascript(
      'let n = 0; for (let i = 0; i < (input.bytes.length - 6) * 1e6; i++) n += i; return { data: { n } }',
    ),
    payloads: [MESSAGE + '00', ...Array.from({ length: 99 }, () => MESSAGE)],
  },
  {
    what: 'endless codecs in JavaScript',
    devicePrefix: 'endless-js-',
    codec: javascript('for (;;);'),
    payloads: [MESSAGE],
  },
  {
    what: 'codecs in JavaScript that use up their memory',
    devicePrefix: 'memory-js-',
    codec: javascript("let text = 'x'; for (;;) text += text"),
    payloads: [MESSAGE],
  },
]

/** The argument of the program `flood`. */
export interface Flood {
  /** Unique, for the message ids. */
  readonly name: string
  readonly organizationId: string
  readonly devicePrefix: string
  readonly devices: number
  readonly payloads: readonly string[]
  readonly perSecond: number
}

/** One run beside the large organization. */
interface FloodedRun extends Arrivals {
  /** Messages per second that the large organization sent. */
  readonly load: number
}

interface Case {
  readonly variant: Variant
  /** Messages per second of the variant that the service processes. */
  readonly capacity: number
  readonly runs: FloodedRun[]
}

/**
 * Measures P-3: nine organizations send little, alone and beside a tenth that sends ten times what the service processes of it, or
 * what JetStream stores if that is less. Each run measures the delays of the nine from a stored raw envelope to its processed
 * envelope and to its row.
 */
export async function measureTenOrganizations(stage: PipelineStage, rounds: number): Promise<readonly Figure[]> {
  // Analytics caches devices only while cdc captures their changes.
  const cdc = stage.start('cdc')
  await cdc.logLine('"ready"')
  try {
    return await measure(stage, rounds)
  } finally {
    await cdc.stop()
  }
}

async function measure(stage: PipelineStage, rounds: number): Promise<readonly Figure[]> {
  await createSmallOrganizations(stage)
  const cases: Case[] = []
  for (const variant of VARIANTS) {
    await stage.createProfiledDevices(variant.devicePrefix, DEVICES, LARGE_ORGANIZATION, variant.codec)
    cases.push({ variant, capacity: await measureCapacity(stage, variant), runs: [] })
  }
  const alone: Arrivals[] = []
  for (let round = 1; round <= rounds; round += 1) {
    console.error(`bench: P-3, round ${round} of ${rounds}`)
    alone.push(await runAlone(stage, `alone-${round}`))
    for (const { variant, capacity, runs } of cases) {
      runs.push(await runFlooded(stage, String(round), variant, Math.max(capacity * OVERLOAD, MIN_LOAD)))
    }
  }
  return cases.flatMap((one) => figuresOf(one, alone))
}

function figuresOf({ variant, capacity, runs }: Case, alone: readonly Arrivals[]): Figure[] {
  const common = { id: 'P-3' } as const
  const text = (part: string): string => `9 organizations beside one with ${variant.what}: ${part}`
  const delay = (part: string, stage: 'visible' | 'processed'): Figure => {
    const [disturbed, quiet] = [runs, alone].map((them) => them.map((run) => quantile(run[stage], 0.99)))
    const beside = compare('alone', disturbed ?? [], quiet ?? [])
    return {
      ...common,
      what: text(part),
      unit: 'ms',
      ours: median(disturbed ?? []),
      beside,
      // What users see is the row.
      goal: stage === 'visible' ? { type: 'ratio', atMost: MAX_RATIO } : { type: 'none' },
    }
  }
  const load = runs.map((run) => run.load)
  const missing = Math.max(...runs.map((run) => run.lost + run.deadLetters))
  return [
    delay('raw → row, p99', 'visible'),
    delay('raw → processed envelope, p99', 'processed'),
    {
      ...common,
      what: text('lost or dead letters of the 9'),
      unit: 'messages',
      ours: missing,
      goal: { type: 'value', atMost: 0 },
    },
    {
      ...common,
      what: text('load of the one'),
      unit: 'messages/s',
      ours: median(load),
      beside: compare(
        'capacity',
        load,
        load.map(() => capacity),
      ),
      goal: { type: 'none' },
    },
  ]
}

/** Returns how many messages per second of the large organization the service processes from a backlog. */
async function measureCapacity(stage: PipelineStage, variant: Variant): Promise<number> {
  await stage.empty()
  const flood = startFlood(stage, 'capacity', variant, UNLIMITED)
  await flood.logLine('"started"')
  await flood.during(sleep(BACKLOG_SECONDS * 1000))
  await flood.stop()
  const service = await startService(stage)
  while ((await finished(stage)) === 0) await service.during(sleep(100))
  await service.during(sleep(WARM_UP_SECONDS * 1000))
  const [before, start] = [await finished(stage), performance.now()]
  await service.during(sleep(CAPACITY_SECONDS * 1000))
  const perSecond = ((await finished(stage)) - before) / ((performance.now() - start) / 1000)
  await service.stop()
  console.error(`bench: P-3, ${variant.what}: capacity ${Math.round(perSecond)}/s`)
  return perSecond
}

/** Returns the number of processed envelopes and dead letters. */
async function finished(stage: PipelineStage): Promise<number> {
  return (await stage.messagesIn('processed_envelopes')) + (await stage.messagesIn('dead_letters'))
}

async function runAlone(stage: PipelineStage, name: string): Promise<Arrivals> {
  await stage.empty()
  const service = await startService(stage)
  await service.during(warmUp(stage, name))
  const arrivals = await service.during(sendLittle(stage, name, async () => undefined))
  await service.stop()
  log('alone', arrivals)
  return arrivals
}

async function runFlooded(
  stage: PipelineStage,
  round: string,
  variant: Variant,
  perSecond: number,
): Promise<FloodedRun> {
  await stage.empty()
  const service = await startService(stage)
  await service.during(warmUp(stage, `${variant.devicePrefix}${round}`))
  await service.during(warmUpFlooded(stage, round, variant, perSecond))
  const before = await stage.messagesIn('raw_envelopes')
  const flood = startFlood(stage, round, variant, perSecond)
  const start = await flood.logLine('"started"')
  let load = NaN
  const onSent = async (): Promise<void> => {
    await flood.stop()
    const seconds = (performance.now() - start) / 1000
    load = ((await stage.messagesIn('raw_envelopes')) - before - TOTAL) / seconds
  }
  const arrivals = await service.during(sendLittle(stage, `${variant.devicePrefix}${round}`, onSent))
  await service.stop()
  log(`${variant.what}, ${Math.round(load)}/s`, arrivals)
  return { ...arrivals, load }
}

/**
 * Runs the load for some seconds; resolves when the service has read all of it. A service that has just started takes a second to
 * compile its code while messages arrive, which would be all that the measurement shows.
 */
async function warmUpFlooded(stage: PipelineStage, round: string, variant: Variant, perSecond: number): Promise<void> {
  const flood = startFlood(stage, `warm-up-${round}`, variant, perSecond)
  await flood.logLine('"started"')
  await flood.during(sleep(FLOODED_WARM_UP_SECONDS * 1000))
  await flood.stop()
  const pending = async (): Promise<number> =>
    (await stage.nats.manager.consumers.info('raw_envelopes', 'analytics-raw')).num_pending
  while ((await pending()) > 0) await sleep(100)
}

function startFlood(stage: PipelineStage, name: string, variant: Variant, perSecond: number): BenchProgram {
  const flood: Flood = {
    name: `${variant.devicePrefix}${name}`,
    organizationId: LARGE_ORGANIZATION,
    devicePrefix: variant.devicePrefix,
    devices: DEVICES,
    payloads: variant.payloads,
    perSecond,
  }
  const program = join(stage.root, '.ponix/bench/programs/flood.js')
  return new BenchProgram([program, JSON.stringify(flood)], stage.environment())
}

async function startService(stage: PipelineStage): Promise<BenchProgram> {
  const service = stage.start('analytics')
  await service.logLine('"ready"')
  return service
}

function log(what: string, { visible, processed, lost, deadLetters }: Arrivals): void {
  const [row, envelope] = [visible, processed].map((delays) => Math.round(quantile(delays, 0.99)))
  console.error(
    `bench: ${what}: p99 ${row} ms to the row, ${envelope} ms to the envelope; ${lost} lost, ${deadLetters} dead letters`,
  )
}

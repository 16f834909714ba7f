import { isDeepStrictEqual } from 'node:util'
import { DEAD_LETTER_HEADERS } from '../../../src/nats/dead-letters.ts'
import { type Producer, createProducer } from '../../../src/nats/publisher/producer.ts'
import { encodeRawEnvelope, decodeProcessedEnvelope, decodeRawEnvelope } from '../../../src/proto/envelope.ts'
import { storedEvents, type StoredEvent } from './cdc-rig.ts'
import { type Pipeline, ORGANIZATION } from './pipeline.ts'
import type { Random } from './random.ts'

/** Expected outcomes: a row, a row for each of its readings, or a dead letter with a reason. `js…`: by a codec in JavaScript. */
const OUTCOMES = {
  row: 'row',
  readings: 'readings',
  jsRow: 'row',
  jsReadings: 'readings with warnings',
  jsError: /^payload conversion of device jsError by profile jsError \(jsError\): payload \d+ \(/,
  jsEndless: /^payload conversion of device jsEndless by profile jsEndless \(jsEndless\): /,
  unknownType: /^payload conversion of device good-0: .*unknown type 200/,
  noExpression: /^device unconfigured has no payload conversion/,
  otherOrganization: /^device good-0 belongs to organization organization, but/,
  endless: /^payload conversion of device endless: the expression exceeded its time limit/,
  refused: /^ClickHouse rejected the envelope of device refused: data has two values at the path a\.b/,
  undecodable: /^not a raw envelope: /,
  unknownDevice: /^device missing does not exist/,
} as const satisfies Readonly<Record<string, RegExp | string>>

export type Outcome = keyof typeof OUTCOMES

const GOOD_DEVICES = 5
const MICROS_PER_SECOND = 1_000_000n
const NUMBERS = `[${Array.from({ length: 400 }, () => '0').join(',')}]`
const ENDLESS = `{"n": ${NUMBERS}.all(a, ${NUMBERS}.all(b, ${NUMBERS} == ${NUMBERS}))}`
/** The seconds by which the readings of a payload are older than it; the oldest is in another month. */
const AGES = [0, 3600, 3_456_000]
const READINGS = `[${AGES.join(', ')}].map(age, {
  "age_s": age, "data": {"age": age, "generic_sensor_0": cayenne_lpp_decode(input).generic_sensor_0}
})`
const JS_NUMBER = '(bytes[2] * 256 ** 3 + bytes[3] * 256 ** 2 + bytes[4] * 256 + bytes[5])'
const JS_CODECS = {
  jsRow: `function decodeUplink({ bytes }) { return { data: { generic_sensor_0: ${JS_NUMBER} } } }`,
  jsReadings: `function decodeUplink({ bytes }) {
    const value = ${JS_NUMBER}
    const data = [${AGES.join(', ')}].map((age) => ({ age_s: age, data: { age, generic_sensor_0: value } }))
    return { data, warnings: ['warning ' + value, 'low battery'] }
  }`,
  jsError: `function decodeUplink({ bytes }) { return { errors: ['payload ' + ${JS_NUMBER}] } }`,
  jsEndless: 'function decodeUplink() { for (;;); }',
} as const satisfies Partial<Record<Outcome, string>>
/** The warnings of `jsReadings`. */
const warningsOf = (number: number): string[] => [`warning ${number}`, 'low battery']
/** A result that ClickHouse rejects: two keys that are the same path. */
const REFUSED = '{"a.b": 1, "a": {"b": 2}}'
/** Shares of the envelopes that become several rows or a dead letter. */
const SHARES: readonly (readonly [Outcome, number])[] = [
  ['readings', 0.1],
  ['jsRow', 0.2],
  ['jsReadings', 0.1],
  ['jsError', 0.01],
  ['unknownType', 0.01],
  ['noExpression', 0.01],
  ['otherOrganization', 0.005],
  ['refused', 0.003],
  ['undecodable', 0.005],
  ['unknownDevice', 0.02],
]

/** Publishes valid and invalid raw envelopes, each with a number that identifies it in a row or dead letter. */
export class EnvelopeLoad {
  readonly expected = new Map<number, Outcome>()
  readonly #producer: Producer
  readonly #random: Random
  readonly #start = BigInt(Date.now()) * 1000n

  private constructor(pipeline: Pipeline, random: Random) {
    this.#producer = createProducer(pipeline.nats)
    this.#random = random
  }

  static async open(pipeline: Pipeline, random: Random): Promise<EnvelopeLoad> {
    for (let index = 0; index < GOOD_DEVICES; index += 1) await pipeline.createDevice(`good-${index}`)
    await pipeline.createDevice('unconfigured', '')
    await pipeline.createDevice('endless', ENDLESS)
    await pipeline.createDevice('refused', REFUSED)
    await pipeline.createDevice('readings', READINGS)
    for (const [id, source] of Object.entries(JS_CODECS)) await pipeline.createProfiledDevice(id, source)
    return new EnvelopeLoad(pipeline, random)
  }

  /** Resolves when JetStream has stored them. */
  async publish(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.publishOne(this.#outcome())))
  }

  async publishOne(outcome: Outcome): Promise<void> {
    const number = this.expected.size
    this.expected.set(number, outcome)
    const publication = {
      subject: 'raw_envelopes.load',
      body: this.#body(outcome, number),
      messageId: `load-${number}`,
    }
    await this.#producer.publish(publication)
  }

  /** Returns the number of the envelope with this occurred_at (microseconds since 1970). */
  numberOf(occurredAt: bigint): number {
    return Number(occurredAt - this.#start)
  }

  close(): void {
    this.#producer.close()
  }

  #outcome(): Outcome {
    let left = this.#random.next()
    for (const [outcome, share] of SHARES) {
      left -= share
      if (left < 0) return outcome
    }
    return 'row'
  }

  #body(outcome: Outcome, number: number): Uint8Array {
    if (outcome === 'undecodable') return Buffer.from(`\xff\xff${number}`, 'latin1')
    return encodeRawEnvelope({
      organizationId: outcome === 'otherOrganization' ? 'other' : ORGANIZATION,
      endDeviceId: this.#device(outcome, number),
      payload: outcome === 'unknownType' ? Uint8Array.of(1, 0xc8) : payloadOf(number),
      receivedAt: this.#start + BigInt(number),
    })
  }

  #device(outcome: Outcome, number: number): string {
    if (outcome in JS_CODECS) return outcome
    const own: Partial<Record<Outcome, string>> = {
      row: `good-${number % GOOD_DEVICES}`,
      readings: 'readings',
      noExpression: 'unconfigured',
      endless: 'endless',
      refused: 'refused',
      unknownDevice: 'missing',
    }
    return own[outcome] ?? 'good-0'
  }
}

/** Encodes the number as a Cayenne LPP generic sensor on channel 0. */
function payloadOf(number: number): Uint8Array {
  const payload = Buffer.from([0, 100, 0, 0, 0, 0])
  payload.writeUInt32BE(number, 2)
  return payload
}

interface ShownRow {
  /** Microseconds since 1970. */
  readonly at: string
  /** The envelope's number. */
  readonly value: number
  /** Seconds; null if it is not a reading of a list. */
  readonly age: number | null
  readonly warnings: readonly string[]
}

/** Differences between published and stored envelopes, by envelope number. */
export interface Differences {
  readonly lost: readonly number[]
  /** Several rows or dead letters for one envelope, with their descriptions. */
  readonly duplicated: readonly string[]
  /** Envelopes that were never published, or that have the data of another envelope. */
  readonly unexpected: readonly number[]
  /** Envelopes with a row instead of a dead letter, the reverse, or another reason. */
  readonly misclassified: readonly string[]
}

/** Compares the view and the dead letters with a load. */
export class EnvelopeOracle {
  readonly #pipeline: Pipeline
  readonly #load: EnvelopeLoad

  constructor(pipeline: Pipeline, load: EnvelopeLoad) {
    this.#pipeline = pipeline
    this.#load = load
  }

  async compare(): Promise<Differences> {
    const rows = await this.#pipeline.query<ShownRow>(
      `SELECT toString(toUnixTimestamp64Micro(occurred_at)) AS at, data.generic_sensor_0.:Float64 AS value, data.age.:Float64 AS age, warnings FROM processed_envelopes`,
    )
    const seen = new Map<number, string[]>()
    const add = (number: number, how: string): void => void seen.set(number, [...(seen.get(number) ?? []), how])
    const wrong: number[] = []
    for (const { at, value, age, warnings } of rows) {
      const number = this.#load.numberOf(BigInt(at) + BigInt(age ?? 0) * MICROS_PER_SECOND)
      add(number, (age === null ? 'row' : `reading ${age}`) + warned(number, warnings))
      if (value !== number) wrong.push(number)
    }
    for (const letter of await storedEvents(this.#pipeline.nats, 'dead_letters')) {
      add(this.#numberIn(letter), `${letter.header(DEAD_LETTER_HEADERS.reason)} (${placeOf(letter)})`)
    }
    for (const [number, how] of seen) {
      if (hasAllReadings(how, '')) seen.set(number, ['readings'])
      else if (hasAllReadings(how, WITH_WARNINGS)) seen.set(number, [`readings${WITH_WARNINGS}`])
    }
    const { expected } = this.#load
    return {
      lost: [...expected.keys()].filter((number) => !seen.has(number)),
      duplicated: [...seen].flatMap(([number, how]) => (how.length > 1 ? [`${number}: ${how.join(' | ')}`] : [])),
      unexpected: [...wrong, ...[...seen.keys()].filter((number) => !expected.has(number))],
      misclassified: [...seen].flatMap(([number, [how = '']]) =>
        this.#isExpected(number, how) ? [] : [`${number}: ${how}`],
      ),
    }
  }

  /** Returns the number of duplicate rows in the table, which the view hides. */
  async duplicateRows(): Promise<number> {
    const [found] = await this.#pipeline.query<{ duplicates: number }>(
      'SELECT toUInt32(count() - uniqExact(identity)) AS duplicates FROM processed_envelope_rows',
    )
    return found?.duplicates ?? 0
  }

  #isExpected(number: number, how: string): boolean {
    const outcome = this.#load.expected.get(number)
    if (outcome === undefined) return true
    const expected = OUTCOMES[outcome]
    return typeof expected === 'string' ? how === expected : expected.test(how)
  }

  #numberIn(letter: StoredEvent): number {
    const { body } = letter
    if (body[0] === 0xff) return Number(Buffer.from(body.subarray(2)).toString('latin1'))
    if (letter.subject === 'dead_letters.raw_envelopes') return this.#load.numberOf(decodeRawEnvelope(body).receivedAt)
    return this.#load.numberOf(decodeProcessedEnvelope(body).occurredAt)
  }
}

/** Returns whether the rows of an envelope are exactly those of its readings, each with the suffix. */
function hasAllReadings(how: readonly string[], suffix: string): boolean {
  return how.length === AGES.length && AGES.every((age) => how.includes(`reading ${age}${suffix}`))
}

const WITH_WARNINGS = ' with warnings'

function warned(number: number, warnings: readonly string[]): string {
  if (warnings.length === 0) return ''
  return isDeepStrictEqual(warnings, warningsOf(number)) ? WITH_WARNINGS : ` with ${JSON.stringify(warnings)}`
}

/** Describes a dead letter by sequence and time. */
function placeOf({ sequence, storedAt }: StoredEvent): string {
  return `dead letter ${sequence}, ${new Date(storedAt).toISOString()}`
}

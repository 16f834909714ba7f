import type { Pipeline } from './pipeline.ts'
import { ORGANIZATION } from './pipeline.ts'
import type { Random } from './random.ts'
import { type ClosableProducer, createProducer } from '../../src/nats/producer.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'

/** What has to become of an envelope: a row, or a dead letter with such a reason. */
const FATES = {
  row: undefined,
  unknownType: /^payload conversion of device good-0: .*unknown type 200/,
  noExpression: /^device silent has no payload conversion/,
  otherOrganization: /^device good-0 belongs to organization organization, but/,
  endless: /^payload conversion of device endless: the expression (exceeded its time limit|was stopped repeatedly)/,
  refused: /^ClickHouse rejected the envelope of device refused: .*Duplicate path/,
  undecodable: /^not a raw envelope: /,
  unknownDevice: /^device nobody does not exist/,
} as const satisfies Readonly<Record<string, RegExp | undefined>>

export type Fate = keyof typeof FATES

export function reasonOf(fate: Fate): RegExp | undefined {
  return FATES[fate]
}

const GOOD_DEVICES = 5
const NUMBERS = `[${Array.from({ length: 400 }, () => '0').join(',')}]`
const ENDLESS = `{"n": ${NUMBERS}.all(a, ${NUMBERS}.all(b, ${NUMBERS} == ${NUMBERS}))}`
/** Two keys that are one path to ClickHouse. */
const REFUSED = '{"a.b": 1, "a": {"b": 2}}'
/** Of the bad ones; all others become rows. */
const SHARES: readonly (readonly [Fate, number])[] = [
  ['unknownType', 0.01],
  ['noExpression', 0.01],
  ['otherOrganization', 0.005],
  ['refused', 0.003],
  ['undecodable', 0.005],
]

/** Raw envelopes, good and bad, each with a number by which it is known wherever it ends; and what has to become of each. */
export class EnvelopeLoad {
  readonly expected = new Map<number, Fate>()
  readonly #producer: ClosableProducer
  readonly #random: Random
  readonly #start = BigInt(Date.now()) * 1000n

  private constructor(pipeline: Pipeline, random: Random) {
    this.#producer = createProducer(pipeline.nats)
    this.#random = random
  }

  static async open(pipeline: Pipeline, random: Random): Promise<EnvelopeLoad> {
    for (let index = 0; index < GOOD_DEVICES; index += 1) await pipeline.createDevice(`good-${index}`)
    await pipeline.createDevice('silent', '')
    await pipeline.createDevice('endless', ENDLESS)
    await pipeline.createDevice('refused', REFUSED)
    return new EnvelopeLoad(pipeline, random)
  }

  /** Resolves when JetStream has so many more. */
  async publish(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.publishOne(this.#fate())))
  }

  async publishOne(fate: Fate): Promise<void> {
    const number = this.expected.size
    this.expected.set(number, fate)
    const publication = { subject: 'raw_envelopes.load', body: this.#body(fate, number), messageId: `load-${number}` }
    await this.#producer.publish(publication)
  }

  /** The number of the envelope that occurred then (microseconds since 1970). */
  numberOf(occurredAt: bigint): number {
    return Number(occurredAt - this.#start)
  }

  close(): void {
    this.#producer.close()
  }

  #fate(): Fate {
    let left = this.#random.next()
    for (const [fate, share] of SHARES) {
      left -= share
      if (left < 0) return fate
    }
    return 'row'
  }

  #body(fate: Fate, number: number): Uint8Array {
    if (fate === 'undecodable') return Buffer.from(`\xff\xff${number}`, 'latin1')
    return encodeRawEnvelope({
      organizationId: fate === 'otherOrganization' ? 'another' : ORGANIZATION,
      endDeviceId: this.#device(fate, number),
      payload: fate === 'unknownType' ? Uint8Array.of(1, 0xc8) : payloadOf(number),
      receivedAt: this.#start + BigInt(number),
    })
  }

  #device(fate: Fate, number: number): string {
    const own: Partial<Record<Fate, string>> = {
      row: `good-${number % GOOD_DEVICES}`,
      noExpression: 'silent',
      endless: 'endless',
      refused: 'refused',
      unknownDevice: 'nobody',
    }
    return own[fate] ?? 'good-0'
  }
}

/** Cayenne LPP: channel 0, a generic sensor, the number. */
function payloadOf(number: number): Uint8Array {
  const payload = Buffer.from([0, 100, 0, 0, 0, 0])
  payload.writeUInt32BE(number, 2)
  return payload
}

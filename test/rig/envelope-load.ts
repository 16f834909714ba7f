import type { Pipeline } from './pipeline.ts'
import { ORGANIZATION } from './pipeline.ts'
import type { Random } from './random.ts'
import { type ClosableProducer, createProducer } from '../../src/nats/producer.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'

/** Expected outcomes: a row, or a dead letter with a reason. */
const OUTCOMES = {
  row: undefined,
  unknownType: /^payload conversion of device good-0: .*unknown type 200/,
  noExpression: /^device unconfigured has no payload conversion/,
  otherOrganization: /^device good-0 belongs to organization organization, but/,
  endless: /^payload conversion of device endless: the expression (exceeded its time limit|was stopped repeatedly)/,
  refused: /^ClickHouse rejected the envelope of device refused: .*Duplicate path/,
  undecodable: /^not a raw envelope: /,
  unknownDevice: /^device missing does not exist/,
} as const satisfies Readonly<Record<string, RegExp | undefined>>

export type Outcome = keyof typeof OUTCOMES

export function reasonOf(outcome: Outcome): RegExp | undefined {
  return OUTCOMES[outcome]
}

const GOOD_DEVICES = 5
const NUMBERS = `[${Array.from({ length: 400 }, () => '0').join(',')}]`
const ENDLESS = `{"n": ${NUMBERS}.all(a, ${NUMBERS}.all(b, ${NUMBERS} == ${NUMBERS}))}`
/** Two keys that are the same path in ClickHouse. */
const REFUSED = '{"a.b": 1, "a": {"b": 2}}'
/** Shares of the envelopes that become dead letters. */
const SHARES: readonly (readonly [Outcome, number])[] = [
  ['unknownType', 0.01],
  ['noExpression', 0.01],
  ['otherOrganization', 0.005],
  ['refused', 0.003],
  ['undecodable', 0.005],
]

/** Publishes valid and invalid raw envelopes, each with a number that identifies it in a row or dead letter. */
export class EnvelopeLoad {
  readonly expected = new Map<number, Outcome>()
  readonly #producer: ClosableProducer
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

  /** The number of the envelope with this occurred_at (microseconds since 1970). */
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
    const own: Partial<Record<Outcome, string>> = {
      row: `good-${number % GOOD_DEVICES}`,
      noExpression: 'unconfigured',
      endless: 'endless',
      refused: 'refused',
      unknownDevice: 'missing',
    }
    return own[outcome] ?? 'good-0'
  }
}

/** Cayenne LPP: channel 0, a generic sensor, the number. */
function payloadOf(number: number): Uint8Array {
  const payload = Buffer.from([0, 100, 0, 0, 0, 0])
  payload.writeUInt32BE(number, 2)
  return payload
}

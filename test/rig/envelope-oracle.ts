import { storedEvents, type StoredEvent } from './cdc-rig.ts'
import { type EnvelopeLoad, reasonOf } from './envelope-load.ts'
import type { Pipeline } from './pipeline.ts'
import { DEAD_LETTER_HEADERS } from '../../src/nats/dead-letters.ts'
import { decodeProcessedEnvelope, decodeRawEnvelope } from '../../src/proto/envelope.ts'

interface ShownRow {
  /** Microseconds since 1970. */
  readonly at: string
  /** What the device said: the envelope's number. */
  readonly value: number
}

/** How what a reader sees differs from what was published: numbers of envelopes. */
export interface Differences {
  readonly lost: readonly number[]
  /** More than one row, more than one dead letter, or both; with what is seen of each. */
  readonly repeated: readonly string[]
  /** What was never published, or has another's data. */
  readonly invented: readonly number[]
  /** What should have ended otherwise: a row instead of a dead letter, another reason. */
  readonly misjudged: readonly string[]
}

/** What a reader of the view and of the dead letters sees of a load. */
export class EnvelopeOracle {
  readonly #pipeline: Pipeline
  readonly #load: EnvelopeLoad

  constructor(pipeline: Pipeline, load: EnvelopeLoad) {
    this.#pipeline = pipeline
    this.#load = load
  }

  async compare(): Promise<Differences> {
    const rows = await this.#pipeline.query<ShownRow>(
      `SELECT toString(toUnixTimestamp64Micro(occurred_at)) AS at, data.generic_sensor_0.:Float64 AS value FROM processed_envelopes`,
    )
    const seen = new Map<number, string[]>()
    const see = (number: number, how: string): void => void seen.set(number, [...(seen.get(number) ?? []), how])
    const strange: number[] = []
    for (const { at, value } of rows) {
      const number = this.#load.numberOf(BigInt(at))
      see(number, 'row')
      if (value !== number) strange.push(number)
    }
    for (const letter of await storedEvents(this.#pipeline.nats, 'dead_letters')) {
      see(this.#numberIn(letter), `${letter.header(DEAD_LETTER_HEADERS.reason)} (${placeOf(letter)})`)
    }
    const { expected } = this.#load
    return {
      lost: [...expected.keys()].filter((number) => !seen.has(number)),
      repeated: [...seen].flatMap(([number, how]) => (how.length > 1 ? [`${number}: ${how.join(' | ')}`] : [])),
      invented: [...strange, ...[...seen.keys()].filter((number) => !expected.has(number))],
      misjudged: [...seen].flatMap(([number, [how = '']]) => (this.#isRight(number, how) ? [] : [`${number}: ${how}`])),
    }
  }

  /** Rows that the table has more than once, which the view does not show. */
  async hidden(): Promise<number> {
    const [found] = await this.#pipeline.query<{ hidden: number }>(
      'SELECT toUInt32(count() - uniqExact(identity)) AS hidden FROM processed_envelope_rows',
    )
    return found?.hidden ?? 0
  }

  #isRight(number: number, how: string): boolean {
    const fate = this.#load.expected.get(number)
    if (fate === undefined) return true
    const reason = reasonOf(fate)
    return reason === undefined ? how === 'row' : reason.test(how)
  }

  #numberIn(letter: StoredEvent): number {
    const { body } = letter
    if (body[0] === 0xff) return Number(Buffer.from(body.subarray(2)).toString('latin1'))
    if (letter.subject === 'dead_letters.raw_envelopes') return this.#load.numberOf(decodeRawEnvelope(body).receivedAt)
    return this.#load.numberOf(decodeProcessedEnvelope(body).occurredAt)
  }
}

/** Where a dead letter is, and when it came there. */
function placeOf({ sequence, storedAt }: StoredEvent): string {
  return `dead letter ${sequence}, ${new Date(storedAt).toISOString()}`
}

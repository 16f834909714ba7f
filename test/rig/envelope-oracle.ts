import { storedEvents, type StoredEvent } from './cdc-rig.ts'
import { type EnvelopeLoad, reasonOf } from './envelope-load.ts'
import type { Pipeline } from './pipeline.ts'
import { DEAD_LETTER_HEADERS } from '../../src/nats/dead-letters.ts'
import { decodeProcessedEnvelope, decodeRawEnvelope } from '../../src/proto/envelope.ts'

interface ShownRow {
  /** Microseconds since 1970. */
  readonly at: string
  /** The envelope's number. */
  readonly value: number
}

/** Differences between published and stored envelopes, by envelope number. */
export interface Differences {
  readonly lost: readonly number[]
  /** Several rows or dead letters for one envelope, with their descriptions. */
  readonly duplicated: readonly string[]
  /** Never published, or with another envelope's data. */
  readonly unexpected: readonly number[]
  /** A row instead of a dead letter, the reverse, or another reason. */
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
      `SELECT toString(toUnixTimestamp64Micro(occurred_at)) AS at, data.generic_sensor_0.:Float64 AS value FROM processed_envelopes`,
    )
    const seen = new Map<number, string[]>()
    const add = (number: number, how: string): void => void seen.set(number, [...(seen.get(number) ?? []), how])
    const wrong: number[] = []
    for (const { at, value } of rows) {
      const number = this.#load.numberOf(BigInt(at))
      add(number, 'row')
      if (value !== number) wrong.push(number)
    }
    for (const letter of await storedEvents(this.#pipeline.nats, 'dead_letters')) {
      add(this.#numberIn(letter), `${letter.header(DEAD_LETTER_HEADERS.reason)} (${placeOf(letter)})`)
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

  /** Duplicate rows in the table, which the view hides. */
  async duplicateRows(): Promise<number> {
    const [found] = await this.#pipeline.query<{ duplicates: number }>(
      'SELECT toUInt32(count() - uniqExact(identity)) AS duplicates FROM processed_envelope_rows',
    )
    return found?.duplicates ?? 0
  }

  #isExpected(number: number, how: string): boolean {
    const outcome = this.#load.expected.get(number)
    if (outcome === undefined) return true
    const reason = reasonOf(outcome)
    return reason === undefined ? how === 'row' : reason.test(how)
  }

  #numberIn(letter: StoredEvent): number {
    const { body } = letter
    if (body[0] === 0xff) return Number(Buffer.from(body.subarray(2)).toString('latin1'))
    if (letter.subject === 'dead_letters.raw_envelopes') return this.#load.numberOf(decodeRawEnvelope(body).receivedAt)
    return this.#load.numberOf(decodeProcessedEnvelope(body).occurredAt)
  }
}

/** Sequence and time of a dead letter. */
function placeOf({ sequence, storedAt }: StoredEvent): string {
  return `dead letter ${sequence}, ${new Date(storedAt).toISOString()}`
}

import type { NatsClient } from '../../../src/nats/connection.ts'
import { parseLsn, type Lsn } from '../../../src/postgres/replication/change.ts'
import { decodeEndDevice, decodeGateway, decodeOrganization } from '../../../src/proto/entities.ts'
import { storedEvents, type StoredEvent } from './cdc-rig.ts'
import type { CommittedChange } from './cdc-workload.ts'

/** The default of PONIX_NATS_DUPLICATE_WINDOW_SECS minus a margin for clock differences. */
const DUPLICATE_WINDOW_MS = 115_000

/** Compares the content of JetStream with the committed changes. */
export class CdcOracle {
  readonly #client: NatsClient
  readonly #places = new Map<string, number>()
  readonly #readUpTo = new Map<string, number>()
  #messages = 0
  readonly #storedAt = new Map<string, number>()
  readonly #early: string[] = []
  /** The readers by the name of the snapshot that they started with; the reader with the empty name has read everything. */
  readonly #readers = new Map([['', new EventReader()]])
  /** Rows sent by snapshots: `gateway gw7 name42`. */
  readonly #existing = new Set<string>()
  readonly #removed: string[] = []

  constructor(client: NatsClient) {
    this.#client = client
  }

  /** Returns the number of stored changes without repeats. */
  get size(): number {
    return this.#places.size
  }

  /** Returns the number of repeated messages. */
  get repeated(): number {
    return this.#messages - this.#places.size
  }

  /** Reads all messages stored since the last call. */
  async read(): Promise<void> {
    for (const stream of ['entities', 'gateways']) {
      const { state } = await this.#client.manager.streams.info(stream)
      if (state.messages > 0 && state.messages !== state.last_seq)
        this.#removed.push(`${stream} from ${state.first_seq}`)
      for (const event of await storedEvents(this.#client, stream, (this.#readUpTo.get(stream) ?? 0) + 1)) {
        this.#take(event)
        this.#checkRepeat(event)
        this.#readUpTo.set(stream, event.sequence)
      }
    }
  }

  #take(event: StoredEvent): void {
    const { entity, key, name } = namesOf(event)
    const row = `${entity} ${key}`
    const snapshot = event.header('Ponix-Snapshot')
    if (snapshot === '') {
      const identity = `${event.subject} ${key} ${name}`
      this.#messages += 1
      if (!this.#places.has(identity)) this.#places.set(identity, this.#messages)
    } else {
      this.#existing.add(`${row} ${name}`)
      if (!this.#readers.has(snapshot)) this.#readers.set(snapshot, new EventReader())
    }
    const after = event.subject.endsWith('.delete') ? undefined : name
    for (const reader of this.#readers.values()) reader.take(row, after, event)
  }

  /** Returns the rows sent by a snapshot that were never committed in that state: `gateway gw7 name42`. */
  neverCommitted(committed: readonly CommittedChange[]): readonly string[] {
    const states = new Set(committed.map(({ row, name }) => `${row} ${name}`))
    return [...this.#existing].filter((state) => !states.has(state))
  }

  /**
   * Returns the differences from the tables for a reader that started with this snapshot, or, with the empty name, has read
   * everything.
   */
  differences(snapshot: string, present: ReadonlyMap<string, string>): readonly string[] {
    const known = this.#readers.get(snapshot)?.rows ?? new Map<string, string>()
    const rows = new Set([...known.keys(), ...present.keys()])
    return [...rows]
      .filter((row) => known.get(row) !== present.get(row))
      .map((row) => `${row} is ${present.get(row)}, after ${snapshot} ${known.get(row)}`)
  }

  /** Checks that JetStream stored a message id only once within the duplicate window. */
  #checkRepeat(event: StoredEvent): void {
    const id = event.header('Nats-Msg-Id')
    const before = this.#storedAt.get(id)
    if (before !== undefined && event.storedAt - before < DUPLICATE_WINDOW_MS) {
      this.#early.push(`${id} again after ${event.storedAt - before} ms`)
    }
    this.#storedAt.set(id, event.storedAt)
  }

  /** Returns the changes that are confirmed and not stored. */
  confirmedOnly(
    confirmed: Lsn,
    committed: readonly CommittedChange[],
    endOf: ReadonlyMap<string, Lsn>,
  ): readonly CommittedChange[] {
    if (this.#removed.length > 0) throw new Error(`messages were removed from streams: ${this.#removed.join(', ')}`)
    return committed.filter(({ identity, xid }) => {
      const end = endOf.get(xid)
      return end !== undefined && end <= confirmed && !this.#places.has(identity)
    })
  }

  /**
   * Returns the lost changes (committed, not stored), the invented ones (stored, not committed) and the reordered ones (stored
   * before an earlier change of the same row).
   */
  compare(committed: readonly CommittedChange[]): {
    readonly lost: readonly string[]
    readonly invented: readonly string[]
    readonly reordered: readonly string[]
    readonly repeatedInWindow: readonly string[]
    /** Returns the streams that lack messages, which makes the comparison invalid. */
    readonly removed: readonly string[]
  } {
    const identities = new Set(committed.map(({ identity }) => identity))
    const newest = new Map<string, number>()
    const reordered = committed.filter(({ identity, row }) => {
      const place = this.#places.get(identity) ?? 0
      const isEarly = place < (newest.get(row) ?? 0)
      newest.set(row, Math.max(place, newest.get(row) ?? 0))
      return isEarly
    })
    return {
      lost: [...identities].filter((identity) => !this.#places.has(identity)),
      invented: [...this.#places.keys()].filter((identity) => !identities.has(identity)),
      reordered: reordered.map(({ identity }) => identity),
      repeatedInWindow: this.#early,
      removed: this.#removed,
    }
  }
}

/** A consumer that keeps the newest state of each row, as docs/cdc.md describes. */
class EventReader {
  /** Existing rows and their names. */
  readonly rows = new Map<string, string>()
  readonly #newest = new Map<string, { readonly lsn: Lsn; readonly index: number }>()

  /** Applies an event. `name` is undefined if the row was deleted. */
  take(row: string, name: string | undefined, event: StoredEvent): void {
    const [lsn, index] = [parseLsn(event.header('Ponix-Lsn')), Number(event.header('Ponix-Index'))]
    const newest = this.#newest.get(row)
    if (newest !== undefined && (lsn < newest.lsn || (lsn === newest.lsn && index <= newest.index))) return
    this.#newest.set(row, { lsn, index })
    if (name === undefined) this.rows.delete(row)
    else this.rows.set(row, name)
  }
}

/** Returns the entity, key and name of an event's row. */
function namesOf({ subject, body }: StoredEvent): {
  readonly entity: string
  readonly key: string
  readonly name: string
} {
  const [entity = ''] = subject.split('.')
  if (entity === 'gateway') {
    const { gatewayId: key, name } = decodeGateway(body)
    return { entity, key, name }
  }
  if (entity === 'end_device') {
    const { deviceId: key, name } = decodeEndDevice(body)
    return { entity, key, name }
  }
  const { id: key, name } = decodeOrganization(body)
  return { entity, key, name }
}

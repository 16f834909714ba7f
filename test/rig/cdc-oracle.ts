import type { NatsClient } from '../../src/nats/connection.ts'
import { parseLsn, type Lsn } from '../../src/postgres/replication/change.ts'
import { decodeEndDevice, decodeGateway, decodeOrganization } from '../../src/proto/entities.ts'
import { storedEvents, type StoredEvent } from './cdc-rig.ts'
import type { CommittedChange } from './cdc-workload.ts'

/** The default of PONIX_NATS_DUPLICATE_WINDOW_SECS, less what clocks differ. */
const DUPLICATE_WINDOW_MS = 115_000

/** What JetStream has, compared with what was committed. */
export class CdcOracle {
  readonly #client: NatsClient
  readonly #places = new Map<string, number>()
  readonly #readUpTo = new Map<string, number>()
  #messages = 0
  readonly #storedAt = new Map<string, number>()
  readonly #early: string[] = []
  /** One that has read everything, by the empty name, and of each snapshot one that began with it. */
  readonly #readers = new Map([['', new EventReader()]])
  /** What snapshots said of rows: `gateway gw7 name42`. */
  readonly #existing = new Set<string>()
  readonly #removed: string[] = []

  constructor(client: NatsClient) {
    this.#client = client
  }

  /** Changes that are stored; a repeated one counts once. */
  get size(): number {
    return this.#places.size
  }

  /** Messages that say again what another said. */
  get repeated(): number {
    return this.#messages - this.#places.size
  }

  /** Reads what was stored since. */
  async read(): Promise<void> {
    for (const stream of ['entities', 'gateways']) {
      const { state } = await this.#client.manager.streams.info(stream)
      if (state.messages > 0 && state.messages !== state.last_seq)
        this.#removed.push(`${stream} from ${state.first_seq}`)
      for (const event of await storedEvents(this.#client, stream, (this.#readUpTo.get(stream) ?? 0) + 1)) {
        this.#take(event)
        this.#lookForEarlyRepeat(event)
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

  /** Rows that a snapshot sent and that never were so: `gateway gw7 name42`. */
  neverCommitted(committed: readonly CommittedChange[]): readonly string[] {
    const states = new Set(committed.map(({ row, name }) => `${row} ${name}`))
    return [...this.#existing].filter((state) => !states.has(state))
  }

  /** Where somebody who began to read with this snapshot differs from the tables; of all messages, for the empty name. */
  differences(snapshot: string, present: ReadonlyMap<string, string>): readonly string[] {
    const known = this.#readers.get(snapshot)?.rows ?? new Map<string, string>()
    const rows = new Set([...known.keys(), ...present.keys()])
    return [...rows]
      .filter((row) => known.get(row) !== present.get(row))
      .map((row) => `${row} is ${present.get(row)}, after ${snapshot} ${known.get(row)}`)
  }

  /** Within the duplicate window JetStream takes a message id once. */
  #lookForEarlyRepeat(event: StoredEvent): void {
    const id = event.header('Nats-Msg-Id')
    const before = this.#storedAt.get(id)
    if (before !== undefined && event.storedAt - before < DUPLICATE_WINDOW_MS) {
      this.#early.push(`${id} again after ${event.storedAt - before} ms`)
    }
    this.#storedAt.set(id, event.storedAt)
  }

  /** Changes whose transaction's end is confirmed and that are not stored. */
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
   * What is committed and not stored, stored and not committed, stored before an earlier change of the same row, and stored
   * twice within the duplicate window.
   */
  compare(committed: readonly CommittedChange[]): {
    readonly lost: readonly string[]
    readonly invented: readonly string[]
    readonly reordered: readonly string[]
    readonly repeatedInWindow: readonly string[]
    /** Streams that somebody removed messages from, so that nothing can be said of them. */
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

/** Keeps the newest state of each row, as docs/cdc.md tells consumers to. */
class EventReader {
  /** Those that are there, with their names. */
  readonly rows = new Map<string, string>()
  readonly #newest = new Map<string, { readonly lsn: Lsn; readonly index: number }>()

  /** `name` is undefined when the row was deleted. */
  take(row: string, name: string | undefined, event: StoredEvent): void {
    const [lsn, index] = [parseLsn(event.header('Ponix-Lsn')), Number(event.header('Ponix-Index'))]
    const newest = this.#newest.get(row)
    if (newest !== undefined && (lsn < newest.lsn || (lsn === newest.lsn && index <= newest.index))) return
    this.#newest.set(row, { lsn, index })
    if (name === undefined) this.rows.delete(row)
    else this.rows.set(row, name)
  }
}

/** The entity, the key and the name of the row that an event is about. */
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

import type { NatsClient } from '../../src/nats/connection.ts'
import type { Lsn } from '../../src/postgres/replication/lsn.ts'
import { decodeEndDevice } from '../../src/proto/end-device.ts'
import { decodeGateway } from '../../src/proto/gateway.ts'
import { decodeOrganization } from '../../src/proto/organization.ts'
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
        this.#messages += 1
        const identity = identityOf(event)
        if (!this.#places.has(identity)) this.#places.set(identity, this.#messages)
        this.#lookForEarlyRepeat(event)
        this.#readUpTo.set(stream, event.sequence)
      }
    }
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

function identityOf({ subject, body }: StoredEvent): string {
  if (subject.startsWith('gateway.')) {
    const { gatewayId, name } = decodeGateway(body)
    return `${subject} ${gatewayId} ${name}`
  }
  if (subject.startsWith('end_device.')) {
    const { deviceId, name } = decodeEndDevice(body)
    return `${subject} ${deviceId} ${name}`
  }
  const { id, name } = decodeOrganization(body)
  return `${subject} ${id} ${name}`
}

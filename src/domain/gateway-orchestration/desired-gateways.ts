import type { Gateway } from '../entities.ts'
import { evictOldest } from '../fifo.ts'
import { isNewer, OLDEST, type Version } from './version.ts'

/** A version of one row of the table of gateways, or of the set of its rows. */
export type GatewayEvent =
  /** A soft-deleted gateway has `deletedAt`. */
  | { readonly type: 'stored'; readonly gateway: Gateway; readonly version: Version }
  | { readonly type: 'deleted'; readonly gatewayId: string; readonly version: Version }
  /** No other gateways exist: none after a truncation, or those that a complete read of the table has found. */
  | { readonly type: 'remaining'; readonly gatewayIds: ReadonlySet<string>; readonly version: Version }

/** The maximum number of deleted gateways whose versions are kept until the next complete read. */
const DELETED_LIMIT = 100_000

/**
 * The gateways that should run: the newest known version of each row. An event that is not newer changes nothing, so events can be
 * repeated and reordered: a replay of the whole stream ends in the same state.
 */
export class DesiredGateways {
  readonly #rows = new Map<string, { readonly gateway: Gateway; readonly version: Version }>()
  readonly #deleted = new Map<string, Version>()
  /** The version at which every gateway in neither map did not exist. */
  #absentAt: Version = OLDEST

  get(gatewayId: string): Gateway | null {
    return this.#rows.get(gatewayId)?.gateway ?? null
  }

  /** Returns the ids of all gateways. */
  ids(): readonly string[] {
    return [...this.#rows.keys()]
  }

  /** Returns all gateways. */
  *all(): Iterable<Gateway> {
    for (const { gateway } of this.#rows.values()) yield gateway
  }

  /** Applies an event; returns the ids of the gateways that it changed. */
  apply(event: GatewayEvent): readonly string[] {
    const { version } = event
    if (event.type === 'remaining') return this.#removeOthers(event.gatewayIds, version)
    const id = event.type === 'deleted' ? event.gatewayId : event.gateway.gatewayId
    if (!isNewer(version, this.#rows.get(id)?.version ?? this.#deleted.get(id) ?? this.#absentAt)) return []
    this.#rows.delete(id)
    this.#deleted.delete(id)
    if (event.type === 'stored' && event.gateway.deletedAt === null) {
      this.#rows.set(id, { gateway: event.gateway, version })
    } else {
      this.#deleted.set(id, version)
      evictOldest(this.#deleted, DELETED_LIMIT)
    }
    return [id]
  }

  #removeOthers(remaining: ReadonlySet<string>, version: Version): readonly string[] {
    if (isNewer(version, this.#absentAt)) this.#absentAt = version
    for (const [id, deletedAt] of this.#deleted) if (isNewer(version, deletedAt)) this.#deleted.delete(id)
    const removed = [...this.#rows].filter(([id, row]) => !remaining.has(id) && isNewer(version, row.version))
    return removed.map(([id]) => {
      this.#rows.delete(id)
      return id
    })
  }
}

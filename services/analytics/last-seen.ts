import type { ProcessedEnvelope } from '../../src/domain/envelope.ts'
import { toRfc3339 } from '../../src/domain/instant.ts'
import type { Instant } from '../../src/domain/instant.ts'

/** A device as it was last heard by this process. */
export interface SeenDevice {
  readonly end_device_id: string
  readonly organization_id: string
  /** RFC 3339. */
  readonly last_seen: string
}

const MAX_DEVICES = 10_000

/** When each device was last heard, of those this process served; the ones not heard for longest are forgotten first. */
export class LastSeen {
  readonly #devices = new Map<string, { readonly organizationId: string; readonly at: Instant }>()
  readonly #onSeen: (endDeviceId: string, at: Instant) => void

  /** `onSeen` is told of each payload, and must not throw. */
  constructor(onSeen: (endDeviceId: string, at: Instant) => void = () => {}) {
    this.#onSeen = onSeen
  }

  /** A clock that is ahead says nothing of a device: it was not heard later than its payload was processed. */
  note({ endDeviceId, organizationId, occurredAt, processedAt }: ProcessedEnvelope): void {
    const seenAt = occurredAt > processedAt ? processedAt : occurredAt
    this.#onSeen(endDeviceId, seenAt)
    const known = this.#devices.get(endDeviceId)
    this.#devices.delete(endDeviceId)
    const at = known !== undefined && known.at > seenAt ? known.at : seenAt
    this.#devices.set(endDeviceId, { organizationId, at })
    if (this.#devices.size <= MAX_DEVICES) return
    const [oldest] = this.#devices.keys()
    if (oldest !== undefined) this.#devices.delete(oldest)
  }

  /** The latest heard first. */
  list(): readonly SeenDevice[] {
    const devices = [...this.#devices].map(([id, { organizationId, at }]) => ({
      end_device_id: id,
      organization_id: organizationId,
      last_seen: toRfc3339(at),
    }))
    return devices.sort((a, b) => (a.last_seen < b.last_seen ? 1 : -1))
  }
}

/** The lease of one shard, as its instance knows it. */
export type Lease =
  | { readonly state: 'none' }
  /** The instance asked for the lease, or held it, and does not know whether it has it. */
  | { readonly state: 'uncertain' }
  /** `renewedAtMs`: the local time before the last successful request was sent. */
  | { readonly state: 'held'; readonly revision: number; readonly renewedAtMs: number }
  /** The runners of the shard are stopping; then the lease is deleted. */
  | { readonly state: 'releasing'; readonly revision: number }

/** `lose`: stop the runners without touching the lease, which expires. `release`: stop the runners, then delete the lease. */
export type LeaseAction = 'create' | 'renew' | 'release' | 'lose' | 'none'

/** What the instance has read: whether the shard is assigned to it, and whether the bucket has a lease of any instance for it. */
export interface ShardView {
  readonly isAssigned: boolean
  readonly isTaken: boolean
}

/** The part of a lease's time after which it is renewed. */
const RENEW_AT = 1 / 3
/** The part of a lease's time for which it is held; the rest is for closing the connections of the runners. */
const HOLD_FOR = 3 / 4

/**
 * Returns whether the runners of the shard may run. The time counts from before the request that renewed the lease, and the server
 * counts from when it received it, so the lease is not held any more when the server drops it.
 */
export function isHeld(lease: Lease, nowMs: number, ttlMs: number): boolean {
  return lease.state === 'held' && nowMs < deadlineOf(lease, ttlMs)
}

/** Returns the local time from which the lease is not held any more. */
export function deadlineOf({ renewedAtMs }: { readonly renewedAtMs: number }, ttlMs: number): number {
  return renewedAtMs + ttlMs * HOLD_FOR
}

/**
 * Returns the next action for a shard.
 *
 * | lease                    | not assigned | assigned, free | assigned, taken |
 * |--------------------------|--------------|----------------|-----------------|
 * | none                     | none         | create         | none            |
 * | uncertain                | none         | create         | create          |
 * | held                     | release      | none           | none            |
 * | held, due                | release      | renew          | renew           |
 * | held, past its deadline  | lose         | lose           | lose            |
 * | releasing                | none         | none           | none            |
 *
 * An uncertain lease is created although it is taken, because this instance may have taken it.
 */
export function nextAction(lease: Lease, view: ShardView, nowMs: number, ttlMs: number): LeaseAction {
  const { isAssigned, isTaken } = view
  switch (lease.state) {
    case 'none':
      return isAssigned && !isTaken ? 'create' : 'none'
    case 'uncertain':
      return isAssigned ? 'create' : 'none'
    case 'held':
      if (!isHeld(lease, nowMs, ttlMs)) return 'lose'
      if (!isAssigned) return 'release'
      return nowMs < lease.renewedAtMs + ttlMs * RENEW_AT ? 'none' : 'renew'
    case 'releasing':
      return 'none'
  }
}

/** The lease of one shard, as its instance knows it. */
export type Lease =
  | { readonly state: 'none' }
  /** The instance asked for the lease, or held it, and does not know whether it has it. */
  | { readonly state: 'uncertain' }
  /** `renewedAtMs`: the local time before the last successful request was sent. */
  | { readonly state: 'held'; readonly revision: number; readonly renewedAtMs: number }
  /** The runners of the shard finish the messages in flight; the lease is renewed meanwhile. */
  | { readonly state: 'releasing'; readonly revision: number; readonly renewedAtMs: number }
  /** The runners have stopped, and the lease is being deleted. */
  | { readonly state: 'deleting'; readonly revision: number }

/** What the instance has read: whether the shard is assigned to it, and whether the bucket has a lease of any instance for it. */
export interface ShardView {
  readonly isAssigned: boolean
  readonly isTaken: boolean
}

/** The part of a lease's time after which it is renewed: so early that a request without an answer can be repeated. */
const RENEW_AT = 1 / 6
/** The part of a lease's time for which it is held; the rest is for closing the connections of the runners. */
const HOLD_FOR = 3 / 4

/**
 * Returns whether no other instance has the lease, so that the runners of the shard may publish. The time counts from before the request that renewed the lease, and the server
 * counts from when it received it, so the lease is not held any more when the server drops it.
 */
export function isHeld(lease: Lease, nowMs: number, ttlMs: number): boolean {
  return isRenewable(lease) && nowMs < deadlineOf(lease, ttlMs)
}

/** Returns whether the runners of the shard may run, or finish. */
export function isRenewable(lease: Lease): lease is Extract<Lease, { readonly renewedAtMs: number }> {
  return lease.state === 'held' || lease.state === 'releasing'
}

/** Returns the local time from which the lease is not held any more. */
export function deadlineOf({ renewedAtMs }: { readonly renewedAtMs: number }, ttlMs: number): number {
  return renewedAtMs + ttlMs * HOLD_FOR
}

/** Returns whether it is time to renew. */
export function isDue({ renewedAtMs }: { readonly renewedAtMs: number }, nowMs: number, ttlMs: number): boolean {
  return nowMs >= renewedAtMs + ttlMs * RENEW_AT
}

/** Returns whether to renew a lease. `lose`: it is past its deadline; stop the runners without touching it, and it expires. */
export function nextRenewal(lease: Lease, nowMs: number, ttlMs: number): 'renew' | 'lose' | 'none' {
  if (!isRenewable(lease)) return 'none'
  if (!isHeld(lease, nowMs, ttlMs)) return 'lose'
  return isDue(lease, nowMs, ttlMs) ? 'renew' : 'none'
}

/**
 * Returns whether to ask for the lease of a shard, or to give it up. `release`: stop the runners, then delete the lease.
 *
 * | lease     | not assigned | assigned, free | assigned, taken |
 * |-----------|--------------|----------------|-----------------|
 * | none      | none         | create         | none            |
 * | uncertain | none         | create         | create          |
 * | held      | release      | none           | none            |
 * | releasing | none         | none           | none            |
 * | deleting  | none         | none           | none            |
 *
 * An uncertain lease is created although it is taken, because this instance may have taken it.
 */
export function nextAssignment(lease: Lease, { isAssigned, isTaken }: ShardView): 'create' | 'release' | 'none' {
  switch (lease.state) {
    case 'none':
      return isAssigned && !isTaken ? 'create' : 'none'
    case 'uncertain':
      return isAssigned ? 'create' : 'none'
    case 'held':
      return isAssigned ? 'none' : 'release'
    case 'releasing':
    case 'deleting':
      return 'none'
  }
}

import { setTimeout as sleep } from 'node:timers/promises'
import { Counter, Gauge } from 'prom-client'
import { messageOf } from '../../src/domain/errors.ts'
import {
  deadlineOf,
  isDue,
  isHeld,
  isRenewable,
  nextAssignment,
  nextRenewal,
  type Lease,
} from '../../src/domain/gateway-orchestration/lease.ts'
import { shardOf, shardsOf } from '../../src/domain/gateway-orchestration/shards.ts'
import type { LeaseBucket } from '../../src/nats/lease-bucket.ts'
import type { Logger } from '../../src/runner/logger.ts'

export interface ShardLeasesOptions {
  /** Unique for each start of the program. */
  readonly instance: string
  readonly shards: number
  readonly bucket: Pick<LeaseBucket, 'name' | 'ttlMs' | 'open' | 'keys' | 'get' | 'put' | 'compareAndSet' | 'delete'>
  readonly logger: Logger
  /** A clock that only goes forward. */
  readonly nowMs: () => number
  /** Starts or stops the runners of these shards according to `owns` and `holds`; resolves when they are stopped. */
  readonly onChange: (shards: ReadonlySet<number>) => Promise<void>
}

/** What the runners of a shard must do: `finish` the messages in flight, and stop. */
type Use = 'run' | 'finish' | 'none'

const NONE: Lease = { state: 'none' }
const UNCERTAIN: Lease = { state: 'uncertain' }
const INSTANCE = 'instance.'
/** The number of rounds in the TTL of a lease. */
const ROUNDS = 12

const shardsHeld = new Gauge({
  name: 'ponix_gateway_shards',
  help: 'Shards of gateways whose leases this instance holds; 0 without leases.',
})
const leasesLost = new Counter({
  name: 'ponix_gateway_leases_lost_total',
  help: 'Leases of shards that were not renewed in time, so that their gateways stopped.',
})

/**
 * Holds the leases of the shards that belong to this instance. The rules are in `src/domain/gateway-orchestration/lease.ts`; the
 * bucket has a key `shard.{number}` for each lease and `instance.{id}` for each live instance.
 */
export class ShardLeases {
  readonly #options: ShardLeasesOptions
  #leases: Lease[]
  readonly #releases = new Set<Promise<void>>()
  /** The last round of renewals. */
  #renewal: Promise<void> | undefined
  /** The last state that `onChange` has reported. */
  #uses: readonly Use[] = []
  #heartbeatAtMs = -Infinity
  #heartbeat = 0
  #deadline: NodeJS.Timeout | undefined
  readonly #closing = new AbortController()
  #renewing: Promise<void> | undefined

  constructor(options: ShardLeasesOptions) {
    this.#options = options
    this.#leases = Array.from({ length: options.shards }, () => NONE)
  }

  /** Returns whether the runner of a gateway must run. `onChange` follows each change; a lease that is late can still be renewed. */
  owns(gatewayId: string): boolean {
    return this.#uses[this.#shardOf(gatewayId)] === 'run'
  }

  /** Returns whether the runner of a gateway may publish at this moment. */
  holds(gatewayId: string): boolean {
    return this.#useOf(this.#leases[this.#shardOf(gatewayId)] ?? NONE) !== 'none'
  }

  /** Creates the bucket; call it before `run`. */
  async open(): Promise<void> {
    await this.#options.bucket.open()
  }

  /**
   * Acquires and releases leases until the signal aborts, and renews those that it has until `close`. Renewals wait for no other request,
   * because all runners of a lease stop if it is late.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { bucket } = this.#options
    this.#renewing = this.#repeat(() => this.#renew(), 'renew the leases of gateways', this.#closing.signal)
    const ends = AbortSignal.any([signal, this.#closing.signal])
    await this.#repeat(() => this.#assign(), `read the bucket ${bucket.name}`, ends)
  }

  /** Deletes the leases and the heartbeat, so that other instances continue immediately. Call it when all runners are stopped. */
  async close(): Promise<void> {
    this.#closing.abort()
    clearTimeout(this.#deadline)
    await Promise.allSettled([this.#renewing, ...this.#releases])
    const revisions = this.#leases.flatMap((lease) => ('revision' in lease ? [lease.revision] : []))
    this.#leases = this.#leases.map(() => NONE)
    await this.#deleteRevisions([...revisions, this.#heartbeat])
  }

  /** Repeats a step until the signal aborts; a series of failures is logged once. */
  async #repeat(step: () => Promise<void>, purpose: string, signal: AbortSignal): Promise<void> {
    const { bucket, logger } = this.#options
    let isFailing = false
    while (!signal.aborted) {
      try {
        await step()
        isFailing = false
      } catch (error) {
        if (!isFailing) logger.warn(`cannot ${purpose}: ${messageOf(error)}; retrying`)
        isFailing = true
      }
      await sleep(bucket.ttlMs / ROUNDS, undefined, { signal }).catch(() => undefined)
    }
  }

  /** Renews the leases, and the key of the instance as often. */
  async #renew(): Promise<void> {
    const { bucket, nowMs } = this.#options
    const requests = [this.#beat()]
    for (const [shard, lease] of this.#leases.entries()) {
      const action = nextRenewal(lease, nowMs(), bucket.ttlMs)
      if (action === 'renew' && isRenewable(lease)) requests.push(this.#acquire(shard, lease.revision))
      else if (action === 'lose') this.#leases[shard] = UNCERTAIN
    }
    this.#renewal = this.#finish(requests)
    await this.#renewal
  }

  /** Acquires and releases leases according to the live instances. */
  async #assign(): Promise<void> {
    const { bucket, instance, shards } = this.#options
    const keys = new Set(await bucket.keys())
    const live = [...keys].filter((key) => key.startsWith(INSTANCE)).map((key) => key.slice(INSTANCE.length))
    const assigned = shardsOf(instance, new Set([instance, ...live]), shards)
    const released: number[] = []
    const requests: Promise<void>[] = []
    for (const [shard, lease] of this.#leases.entries()) {
      const view = { isAssigned: assigned.has(shard), isTaken: keys.has(`shard.${shard}`) }
      const action = nextAssignment(lease, view)
      if (action === 'create') requests.push(this.#acquire(shard, 0))
      else if (action === 'release') released.push(shard)
    }
    if (released.length > 0) this.#release(released)
    await this.#finish(requests)
  }

  async #finish(requests: readonly Promise<void>[]): Promise<void> {
    const results = await Promise.allSettled(requests)
    void this.#apply()
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  async #beat(): Promise<void> {
    const { bucket, instance, nowMs } = this.#options
    const sentAtMs = nowMs()
    if (!isDue({ renewedAtMs: this.#heartbeatAtMs }, sentAtMs, bucket.ttlMs)) return
    this.#heartbeat = await bucket.put(`${INSTANCE}${instance}`, instance)
    this.#heartbeatAtMs = sentAtMs
  }

  /** Creates or renews a lease. If the revision is another one, an earlier request of this instance may have written it. */
  async #acquire(shard: number, revision: number): Promise<void> {
    const { bucket, instance, nowMs } = this.#options
    const key = `shard.${shard}`
    if (revision === 0) this.#leases[shard] = UNCERTAIN
    let sentAtMs = nowMs()
    let next = await bucket.compareAndSet(key, instance, revision)
    if (next === undefined) {
      const found = await bucket.get(key)
      sentAtMs = nowMs()
      if (found?.value === instance) next = await bucket.compareAndSet(key, instance, found.revision)
    }
    this.#leases[shard] =
      next === undefined ? NONE : { state: this.#stateAfter(shard), revision: next, renewedAtMs: sentAtMs }
  }

  /** Returns the state of a lease that was written: a release that began meanwhile continues. */
  #stateAfter(shard: number): 'held' | 'releasing' | 'deleting' {
    const state = this.#leases[shard]?.state
    return state === 'releasing' || state === 'deleting' ? state : 'held'
  }

  #release(shards: readonly number[]): void {
    this.#move(shards, 'held', (lease) => ({ ...lease, state: 'releasing' }))
    const released = this.#delete(shards).finally(() => this.#releases.delete(released))
    this.#releases.add(released)
  }

  /** Deletes leases when their runners have stopped, unless they were lost meanwhile. */
  async #delete(shards: readonly number[]): Promise<void> {
    await this.#apply()
    this.#move(shards, 'releasing', ({ revision }) => ({ state: 'deleting', revision }))
    // A renewal that is on its way changes the revision.
    await Promise.allSettled([this.#renewal])
    const leases = shards.flatMap((shard) => this.#leases[shard] ?? [])
    await this.#deleteRevisions(leases.flatMap((lease) => (lease.state === 'deleting' ? [lease.revision] : [])))
    this.#move(shards, 'deleting', () => NONE)
  }

  /** Replaces the leases of these shards that have this state. */
  #move<S extends Lease['state']>(
    shards: readonly number[],
    state: S,
    next: (lease: Extract<Lease, { readonly state: S }>) => Lease,
  ): void {
    const isFrom = (lease: Lease | undefined): lease is Extract<Lease, { readonly state: S }> => lease?.state === state
    for (const shard of shards) {
      const lease = this.#leases[shard]
      if (isFrom(lease)) this.#leases[shard] = next(lease)
    }
  }

  /** A lease that is not deleted expires. */
  async #deleteRevisions(revisions: readonly number[]): Promise<void> {
    const { bucket } = this.#options
    await Promise.allSettled(revisions.filter((revision) => revision > 0).map((revision) => bucket.delete(revision)))
  }

  /** Starts and stops the runners of the shards whose leases have changed, and watches the next deadline. */
  async #apply(): Promise<void> {
    const { onChange, bucket, nowMs } = this.#options
    const before = this.#uses
    this.#uses = this.#leases.map((lease) => this.#useOf(lease))
    const changed = [...this.#uses.keys()].filter((shard) => this.#uses[shard] !== (before[shard] ?? 'none'))
    this.#report(changed, before)
    clearTimeout(this.#deadline)
    // Like the timeout of requests, the timer waits for answers that have arrived; `holds` does not.
    const deadlines = this.#leases.flatMap((lease) => (isRenewable(lease) ? [deadlineOf(lease, bucket.ttlMs)] : []))
    if (deadlines.length > 0) {
      this.#deadline = setTimeout(
        () => setImmediate(() => this.#onDeadline()),
        Math.max(0, Math.min(...deadlines) - nowMs()),
      )
    }
    if (changed.length > 0) await onChange(new Set(changed))
  }

  #report(changed: readonly number[], before: readonly Use[]): void {
    const { logger } = this.#options
    const held = this.#uses.filter((use) => use !== 'none').length
    const acquired = changed.filter((shard) => this.#uses[shard] === 'run').length
    const released = changed.filter((shard) => this.#uses[shard] === 'finish').length
    const isLost = (shard: number): boolean => before[shard] === 'run' || this.#leases[shard]?.state === 'uncertain'
    const lost = changed.filter((shard) => this.#uses[shard] === 'none' && isLost(shard)).length
    shardsHeld.set(held)
    leasesLost.inc(lost)
    if (lost > 0) logger.warn({ shards: lost }, 'lost leases; their gateways stop until they are acquired')
    if (released > 0) logger.info({ shards: released }, 'releasing shards')
    if (acquired > 0) logger.info({ shards: acquired, held }, 'acquired shards')
  }

  /** Stops the runners of the leases that were not renewed, also while a round waits for NATS. */
  #onDeadline(): void {
    for (const [shard, lease] of this.#leases.entries()) {
      if (isRenewable(lease) && this.#useOf(lease) === 'none') this.#leases[shard] = UNCERTAIN
    }
    void this.#apply()
  }

  #shardOf(gatewayId: string): number {
    return shardOf(gatewayId, this.#options.shards)
  }

  #useOf(lease: Lease): Use {
    if (!isHeld(lease, this.#options.nowMs(), this.#options.bucket.ttlMs)) return 'none'
    return lease.state === 'held' ? 'run' : 'finish'
  }
}

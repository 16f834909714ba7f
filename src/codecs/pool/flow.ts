import type { Uplink } from '../../domain/entities.ts'
import { Fifo } from '../../domain/fifo.ts'
import { encodedBytes } from '../../domain/telemetry.ts'
import type { ExpressionHistory } from './expression-history.ts'
import { FairShare, type Load } from './fair-share.ts'

/** Expressions that are slow, failed or new wait in the background lane, all others in the quick lane. */
export type Lane = 'quick' | 'background'

export interface Organization<T extends Sized> {
  readonly id: string
  readonly flows: Map<string, Flow<T>>
  readonly shares: Readonly<Record<Lane, FairShare<Flow<T>>>>
}

export interface Sized {
  readonly payload: Uint8Array
  readonly context?: { readonly uplink?: Uplink | undefined } | undefined
}

/** Returns the bytes by which a task counts. */
export function sizeOf({ payload, context }: Sized): number {
  const metadata = context?.uplink?.metadata
  return metadata === undefined ? payload.length : payload.length + encodedBytes(metadata)
}

/** The queued tasks of one expression of one organization, served in order, and the history of the expression. */
export class Flow<T extends Sized> extends FairShare<Flow<T>> {
  readonly organization: Organization<T>
  readonly source: string
  readonly history: ExpressionHistory
  /** Set when it is found again; cleared by the registry. */
  used = false
  readonly #tasks = new Fifo<T>()
  #lane: Lane = 'background'
  #expectedMs: number

  constructor(organization: Organization<T>, source: string, history: ExpressionHistory) {
    super(organization.shares.background)
    this.organization = organization
    this.source = source
    this.history = history
    this.#expectedMs = history.expectedMs
  }

  /** The expected duration of an evaluation, by which its tasks are counted. */
  get expectedMs(): number {
    return this.#expectedMs
  }

  override next(): this {
    return this
  }

  peek(): T | undefined {
    return this.#tasks.peek()
  }

  push(task: T): void {
    this.#tasks.push(task)
    this.addLoad(1, sizeOf(task), this.#expectedMs)
  }

  /** Returns a taken task to the front. */
  unshift(task: T): void {
    this.#tasks.unshift(task)
    this.addLoad(1, sizeOf(task), this.#expectedMs)
  }

  take(): T | undefined {
    const task = this.#tasks.shift()
    if (task !== undefined) this.addLoad(-1, -sizeOf(task), -this.#expectedMs)
    return task
  }

  /** Returns whether the queued tasks, and one more if given, are within the share. An organization always has room for one task. */
  hasRoom(capacity: Load, task?: T): boolean {
    const added = task === undefined ? 0 : 1
    if (this.organization.shares[this.#lane].load.tasks + added <= 1) return true
    return this.fits(capacity, {
      tasks: added,
      bytes: task === undefined ? 0 : sizeOf(task),
      ms: added * this.#expectedMs,
    })
  }

  /** Moves the queued tasks to the lane, and counts them with the duration, that the history requires. */
  update(now: number): void {
    const lane = this.history.isQuick(now) ? 'quick' : 'background'
    if (lane !== this.#lane) {
      this.#lane = lane
      this.moveTo(this.organization.shares[lane])
    }
    const { expectedMs } = this.history
    if (expectedMs === this.#expectedMs) return
    this.addLoad(0, 0, this.load.tasks * (expectedMs - this.#expectedMs))
    this.#expectedMs = expectedMs
  }
}

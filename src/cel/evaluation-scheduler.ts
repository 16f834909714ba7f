import { DeviceRecords } from './device-records.ts'
import type { Evaluation } from './evaluator.ts'
import { FairQueue } from './fair-queue.ts'

/** One payload that waits for its evaluation. */
export interface Task {
  /** Whose it is: the device. Devices take turns, and what one device's expression costs is held against that device alone. */
  readonly key: string
  readonly source: string
  readonly payload: Uint8Array
}

/** `new`: of a device whose expression is still to show what it takes. */
export type Lane = 'quick' | 'new' | 'slow'

/** Who serves it: a `quick` worker the quick lane alone, a `background` worker the other two. */
export type WorkerKind = 'quick' | 'background'

/** What a worker gets at once. A job of the slow lane is one task. */
export interface Job<T extends Task> {
  readonly lane: Lane
  readonly tasks: readonly T[]
}

/** Why a worker was lost in the middle of a job. */
export type Death = 'time' | 'memory' | 'crash'

export type Answer =
  | Evaluation
  /** Not evaluated: the expression has been stopped too often. It rests for a while, then it is tried again. */
  | { readonly ok: false; readonly reason: string; readonly resting: true }
  /** Not evaluated for want of room; worth another try later. */
  | { readonly ok: false; readonly reason: string; readonly overloaded: true }

export interface SchedulerLimits {
  /** Tasks of the quick lane that may wait. */
  readonly maxQueued: number
  /** Payload bytes that may wait in both lanes. */
  readonly maxQueuedBytes: number
  readonly maxJobTasks: number
  readonly maxJobBytes: number
  /** An evaluation that took longer sends its device to the slow lane. */
  readonly slowMs: number
  /** Expected work that may wait in the slow lane; beyond it a device may have one task waiting. */
  readonly maxSlowBacklogMs: number
  readonly maxSlowQueued: number
  /** The time limit of one evaluation, as the watchdog enforces it. */
  readonly timeLimitMs: number
  /** Stopped this often in a row, an expression rests … */
  readonly strikesToRest: number
  /** … for so long. */
  readonly restMs: number
  /** A device whose expression was stopped for good stays in the slow lane for so long, however quick the next evaluations are. */
  readonly probationMs: number
}

export const DEFAULT_LIMITS: SchedulerLimits = {
  maxQueued: 50_000,
  maxQueuedBytes: 256 * 1024 * 1024,
  maxJobTasks: 64,
  maxJobBytes: 4 * 1024 * 1024,
  slowMs: 10,
  maxSlowBacklogMs: 1000,
  maxSlowQueued: 64,
  timeLimitMs: 250,
  strikesToRest: 3,
  restMs: 30_000,
  probationMs: 60_000,
}

const DEATHS: Readonly<Record<Death, string>> = {
  time: 'ran longer than its time limit',
  memory: 'needed more memory than it may have',
  crash: 'crashed its worker',
}

/**
 * Which tasks run next, and who answers for a lost worker. Pure: time and the workers are the pool's.
 *
 * Quick devices share jobs; so do new ones, but not with those that have proven to be quick. When a worker is lost, the task
 * that ran is the suspect: it is heard again, alone, in the slow lane, so that a machine that stood still for a moment condemns
 * nobody; the second time it has failed. Its neighbours go back to the front of their lines.
 */
export class EvaluationScheduler<T extends Task> {
  readonly #limits: SchedulerLimits
  readonly #queues = { quick: new FairQueue<T>(), new: new FairQueue<T>(), slow: new FairQueue<T>() } as const
  /** The slow and the new lane take turns. */
  #turn: 'slow' | 'new' = 'slow'
  readonly #records: DeviceRecords
  readonly #suspects = new WeakSet<T>()
  /** What was expected of each task of the slow lane when it came. */
  readonly #slowCosts = new Map<T, number>()
  #queuedBytes = 0
  #slowBacklogMs = 0

  constructor(limits: SchedulerLimits = DEFAULT_LIMITS) {
    this.#limits = limits
    this.#records = new DeviceRecords(limits)
  }

  get queued(): Readonly<Record<'quick' | 'slow', number>> {
    const { quick, slow, new: fresh } = this.#queues
    return { quick: quick.size + fresh.size, slow: slow.size }
  }

  /** Takes a task in, or answers at once why not. */
  submit(task: T, now: number): Answer | undefined {
    const { maxQueued, maxQueuedBytes, maxSlowQueued, maxSlowBacklogMs } = this.#limits
    const restsUntil = this.#records.restsUntil(task, now)
    if (restsUntil !== undefined) return { ok: false, resting: true, reason: restReason(restsUntil) }
    const costMs = this.#records.expectedSlowMs(task)
    if (costMs === undefined) {
      const hasRoom = this.queued.quick < maxQueued && this.#queuedBytes + task.payload.length <= maxQueuedBytes
      if (!hasRoom) return overloaded('too many messages wait for their evaluation')
      this.#push(this.#records.isProven(task) ? 'quick' : 'new', task)
      return undefined
    }
    const hasTurn = this.#slowBacklogMs + costMs <= maxSlowBacklogMs || this.#queues.slow.sizeOf(task.key) === 0
    if (!hasTurn || this.#queues.slow.size >= maxSlowQueued)
      return overloaded(
        `one evaluation of the expression takes about ${Math.ceil(costMs)} ms, and messages come faster than that`,
      )
    this.#push('slow', task)
    return undefined
  }

  /** The next job for a worker of that kind, or undefined while there is none. */
  next(kind: WorkerKind): Job<T> | undefined {
    if (kind === 'quick') return this.#jobOf('quick')
    const [first, second] = this.#turn === 'slow' ? (['slow', 'new'] as const) : (['new', 'slow'] as const)
    const job = this.#jobOf(first) ?? this.#jobOf(second)
    if (job !== undefined) this.#turn = job.lane === 'slow' ? 'new' : 'slow'
    return job
  }

  #jobOf(lane: Lane): Job<T> | undefined {
    const tasks: T[] = []
    const maxTasks = lane === 'slow' ? 1 : this.#limits.maxJobTasks
    for (let bytes = 0; tasks.length < maxTasks && bytes < this.#limits.maxJobBytes;) {
      const task = this.#take(lane)
      if (task === undefined) break
      tasks.push(task)
      bytes += task.payload.length
    }
    return tasks.length === 0 ? undefined : { lane, tasks }
  }

  /**
   * A job ended, at the latest with its first slow task: tasks from `answered` on run again. `slow` has the duration of each
   * task, by its index, that took longer than `slowMs`. Has the answers of those that are not to be evaluated after all.
   */
  finished(job: Job<T>, answered: number, slow: ReadonlyMap<number, number>, now: number): ReadonlyMap<T, Answer> {
    const answers = new Map<T, Answer>()
    const known = new Set<string>()
    for (const task of job.tasks.slice(answered).toReversed()) this.#putBack(job.lane, task)
    let index = 0
    for (const task of job.tasks.slice(0, answered)) {
      const slowMs = slow.get(index++)
      this.#records.noteDuration(task, slowMs, now)
      if (slowMs !== undefined || job.lane !== 'quick') known.add(task.key)
    }
    for (const key of known) this.#sortAnew(key, now, answers)
    return answers
  }

  /**
   * A worker was lost while it ran the task at `index`. Tasks before `answered` have their answer; the others run again, but
   * for those that are answered now.
   */
  died(job: Job<T>, answered: number, index: number, death: Death, now: number): ReadonlyMap<T, Answer> {
    const answers = new Map<T, Answer>()
    const open = [...job.tasks.entries()].slice(answered)
    for (const [at, task] of open.toReversed()) {
      if (at !== index) this.#putBack(job.lane, task)
      else if (this.#suspects.has(task)) {
        this.#records.strike(task, now)
        answers.set(task, { ok: false, reason: this.#verdict(death) })
      } else {
        this.#suspects.add(task)
        this.#records.suspect(task)
        this.#putBack('slow', task)
      }
    }
    const suspect = job.tasks[index]
    if (suspect !== undefined) this.#sortAnew(suspect.key, now, answers)
    return answers
  }

  /** What still waits of a device of which more is known now: among the quick ones, a slow one would hold up all others. */
  #sortAnew(key: string, now: number, answers: Map<T, Answer>): void {
    const { quick, new: fresh, slow } = this.#queues
    for (const task of [...slow.remove(key), ...quick.remove(key), ...fresh.remove(key)]) {
      this.#left(task)
      const answer = this.submit(task, now)
      if (answer !== undefined) answers.set(task, answer)
    }
  }

  #verdict(death: Death): string {
    const limit = death === 'time' ? ` of ${this.#limits.timeLimitMs} ms` : ''
    return `the expression ${DEATHS[death]}${limit}, twice, and was stopped; make it cheaper, with fewer or smaller macros`
  }

  #push(lane: Lane, task: T): void {
    this.#queues[lane].push(task.key, task)
    this.#entered(lane, task)
  }

  #putBack(lane: Lane, task: T): void {
    this.#queues[lane].unshift(task.key, task)
    this.#entered(lane, task)
  }

  #entered(lane: Lane, task: T): void {
    this.#queuedBytes += task.payload.length
    if (lane !== 'slow') return
    const costMs = this.#records.expectedSlowMs(task) ?? 0
    this.#slowCosts.set(task, costMs)
    this.#slowBacklogMs += costMs
  }

  #take(lane: Lane): T | undefined {
    const task = this.#queues[lane].take()
    if (task === undefined) return undefined
    this.#left(task)
    return task
  }

  #left(task: T): void {
    this.#queuedBytes -= task.payload.length
    this.#slowBacklogMs -= this.#slowCosts.get(task) ?? 0
    this.#slowCosts.delete(task)
  }
}

function overloaded(reason: string): Answer {
  return { ok: false, overloaded: true, reason }
}

function restReason(until: number): string {
  return (
    `the expression was stopped again and again and is not tried before ${new Date(until).toISOString()}; ` +
    'make it cheaper: a changed expression is tried at once'
  )
}

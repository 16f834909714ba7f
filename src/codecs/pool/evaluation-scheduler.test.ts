import { beforeEach, describe, expect, it } from 'vitest'
import { DEFAULT_LIMITS, EvaluationScheduler } from './evaluation-scheduler.ts'
import type { Job, SchedulerLimits, Task } from './evaluation-scheduler.ts'
import type { Lane } from './flow.ts'
import { celCodec } from '../../../test/rig/adapters/cel-codec.ts'

const NOW = Date.UTC(2026, 0, 1)
/** The time for which one stop makes an expression slow. */
const SLOW_AFTER_STOP_MS = DEFAULT_LIMITS.timeLimitMs / DEFAULT_LIMITS.slowShare

function task(organizationId: string, source = 'quick', bytes = 1): Task {
  return { organizationId, codec: celCodec(source), payload: new Uint8Array(bytes) }
}

let scheduler: EvaluationScheduler<Task>

beforeEach(() => {
  scheduler = new EvaluationScheduler<Task>()
})

function submit(...tasks: Task[]): void {
  for (const each of tasks) expect(scheduler.submit(each, NOW)).toBeUndefined()
}

/** Returns the next job of the lane. */
function next(lane: Lane): Job<Task> {
  const job = scheduler.next(lane)
  if (job === undefined) throw new Error('no job')
  return job
}

function tasksOf(lane: Lane): readonly Task[] {
  return next(lane).tasks
}

/** Finishes a job; each task took this time. */
function finish(job: Job<Task>, ms: number, now = NOW) {
  const durations = job.tasks.map(() => ms)
  return scheduler.finished(job, durations, now)
}

/** Evaluates these tasks, each by itself. */
function evaluate(ms: number, ...tasks: Task[]): void {
  for (const each of tasks) {
    submit({ ...each })
    finish(scheduler.next('quick') ?? next('background'), ms)
  }
}

/** Loses the worker of this task twice: the first loss makes the task a suspect, the second fails it. */
function failTwice(target: Task, now = NOW) {
  expect(scheduler.submit(target, now)).toBeUndefined()
  const first = next('background')
  scheduler.workerLost(first, first.tasks.indexOf(target), 'time', now)
  const again = next('background')
  expect(again.tasks).toEqual([target])
  return scheduler.workerLost(again, 0, 'time', now)
}

describe('P-3: the scheduler, after the loss of a worker,', () => {
  it('retries the suspect alone and returns the other tasks to the front', () => {
    const [before, suspect, after, later] = [task('a'), task('b', 'bad'), task('c'), task('a')]
    evaluate(1, before, suspect, after)
    submit(before, suspect, after)
    const job = next('quick')
    submit(later)
    expect(scheduler.workerLost(job, 1, 'time', NOW).size).toBe(0)
    expect(tasksOf('quick')).toEqual([before, later, after])
    expect(scheduler.next('quick')).toBeUndefined()
    expect(tasksOf('background')).toEqual([suspect])
  })

  it('fails the task that was stopped twice, with advice', () => {
    const suspect = task('b', 'bad')
    const answers = failTwice(suspect)
    expect([...answers.keys()]).toEqual([suspect])
    expect(answers.get(suspect)).toEqual({
      ok: false,
      reason: expect.stringMatching(/exceeded its time limit of 250 ms twice.*simplify it/),
    })
    expect(scheduler.queued).toEqual({ quick: 0, background: 0 })
  })

  it('names a codec in the reason, and no macros, if it is JavaScript', () => {
    const suspect: Task = { ...task('b', 'bad'), codec: { kind: 'javascript', source: 'bad' } }
    expect(failTwice(suspect).get(suspect)).toEqual({
      ok: false,
      reason: 'the codec exceeded its time limit of 250 ms twice and was stopped; simplify it',
    })
  })

  it('retries the suspect although its organization has no room', () => {
    const [suspect, waiting] = [task('a', 'bad'), task('a', 'bad')]
    scheduler = new EvaluationScheduler<Task>({ ...DEFAULT_LIMITS, maxQueuedMs: 100 })
    evaluate(200, task('a', 'bad'), task('a', 'bad'))
    submit(suspect)
    const job = next('background')
    submit(waiting)
    expect([...scheduler.workerLost(job, 0, 'time', NOW).keys()]).toEqual([waiting])
    expect(tasksOf('background')).toEqual([suspect])
  })

  it('quarantines an expression after three consecutive failures, then runs it again', () => {
    for (let failure = 0; failure < 3; failure++) failTwice(task('b', 'bad'))
    const quarantined = scheduler.submit(task('b', 'bad'), NOW + DEFAULT_LIMITS.quarantineMs - 1)
    expect(quarantined).toMatchObject({
      ok: false,
      reason: expect.stringContaining('2026-01-01T00:00:30.000Z'),
    })
    expect(scheduler.submit(task('b', 'bad'), NOW + DEFAULT_LIMITS.quarantineMs)).toBeUndefined()
  })

  it('quarantines the expression again after a single failure, and counts from zero after a success', () => {
    for (let failure = 0; failure < 3; failure++) failTwice(task('b', 'bad'))
    const later = NOW + DEFAULT_LIMITS.quarantineMs
    failTwice(task('b', 'bad'), later)
    expect(scheduler.submit(task('b', 'bad'), later)).toMatchObject({ ok: false })
    const afterwards = later + DEFAULT_LIMITS.quarantineMs
    expect(scheduler.submit(task('b', 'bad'), afterwards)).toBeUndefined()
    finish(next('background'), 1, afterwards)
    failTwice(task('b', 'bad'), afterwards)
    expect(scheduler.submit(task('b', 'bad'), afterwards)).toBeUndefined()
  })

  it('returns the queued tasks of an expression that is quarantined', () => {
    for (let failure = 0; failure < 2; failure++) failTwice(task('b', 'bad'))
    const [last, waiting] = [task('b', 'bad'), task('b', 'bad')]
    submit(last, waiting)
    scheduler.workerLost(next('background'), 0, 'time', NOW)
    const answers = scheduler.workerLost(next('background'), 0, 'time', NOW)
    expect(answers.get(last)).toMatchObject({ ok: false, reason: expect.stringContaining('twice') })
    expect(answers.get(waiting)).toMatchObject({ reason: expect.stringContaining('quarantined') })
    expect(scheduler.queued).toEqual({ quick: 0, background: 0 })
  })

  it.each(['time', 'memory', 'stack'] as const)(
    'quarantines a codec whose worker ended three evaluations at the limit of %s',
    (exceeded) => {
      const reason = `the codec exceeded its ${exceeded}`
      const violation = { ok: false, reason, exceeded } as const
      for (let failure = 0; failure < 3; failure++) {
        submit(task('b', 'bad'))
        scheduler.finished(next('background'), [100], NOW, [violation])
      }
      expect(scheduler.submit(task('b', 'bad'), NOW)).toMatchObject({
        ok: false,
        reason: expect.stringMatching(new RegExp(`^${reason}, several times in succession; .*quarantined until 2026`)),
      })
      submit(task('c', 'bad'))
    },
  )

  it('quarantines no codec for other errors, or for limits that it exceeds only sometimes', () => {
    const violation = { ok: false, reason: 'too long', exceeded: 'time' } as const
    const answers = [violation, violation, { ok: false, reason: 'unknown type' } as const]
    for (let index = 0; index < 30; index++) {
      submit(task('b', 'bad'))
      const job = scheduler.next('quick') ?? next('background')
      scheduler.finished(job, [1], NOW, answers.slice(index % 3, (index % 3) + 1))
    }
    expect(scheduler.submit(task('b', 'bad'), NOW)).toBeUndefined()
  })

  it('accepts a changed expression, and the same one in another organization', () => {
    for (let failure = 0; failure < 3; failure++) failTwice(task('b', 'bad'))
    submit(task('b', 'fixed'), task('c', 'bad'))
    expect(tasksOf('background')).toHaveLength(2)
  })

  it('keeps the expression in the background for a hundred times the time that it took', () => {
    failTwice(task('b', 'bad'))
    submit(task('b', 'bad'))
    finish(next('background'), 1, NOW + 2 * SLOW_AFTER_STOP_MS - 1)
    submit(task('b', 'bad'))
    expect(scheduler.next('quick')).toBeUndefined()
    finish(next('background'), 1, NOW + 2 * SLOW_AFTER_STOP_MS)
    scheduler.submit(task('b', 'bad'), NOW + 2 * SLOW_AFTER_STOP_MS)
    expect(tasksOf('quick')).toHaveLength(1)
  })
})

describe('P-3: the lanes', () => {
  it('evaluate a new expression in the background first; after a quick evaluation its queued tasks become quick', () => {
    submit(task('a', 'other', 2), ...Array.from({ length: 70 }, () => task('a')))
    expect(scheduler.next('quick')).toBeUndefined()
    expect(tasksOf('background')).toHaveLength(64)
    expect(finish(next('background'), 1).size).toBe(0)
    submit(task('a'))
    expect(tasksOf('quick')).toHaveLength(1)
    expect(scheduler.queued).toEqual({ quick: 0, background: 0 })
  })

  it('move the queued tasks of an expression that became slow to the background', () => {
    const [slow, quick, same, other] = [task('a', 'slow'), task('b'), task('a', 'slow'), task('c')]
    evaluate(1, slow, quick, other)
    submit(slow, quick, other, same)
    expect(scheduler.finished(next('quick'), [100], NOW).size).toBe(0)
    expect(new Set(tasksOf('quick'))).toEqual(new Set([quick, other]))
    expect(tasksOf('background')).toEqual([same])
  })

  it('keep an expression of one organization quick while the same one is slow in another', () => {
    evaluate(100, task('a'))
    evaluate(1, task('b'))
    submit(task('a'), task('b'))
    expect(tasksOf('quick')).toMatchObject([{ organizationId: 'b' }])
  })
})

describe('P-3: a job', () => {
  it('has at most 64 tasks or 4 MiB', () => {
    for (let index = 0; index < 100; index++) submit(task(`organization ${index}`))
    expect([tasksOf('background').length, tasksOf('background').length]).toEqual([64, 36])
    for (let index = 0; index < 10; index++) submit(task(`organization ${index}`, 'quick', 1024 * 1024))
    expect(tasksOf('background')).toHaveLength(4)
  })

  it('is planned for less time than a slow evaluation, but has at least one task', () => {
    evaluate(4, task('a'), task('a'))
    evaluate(40, task('a', 'slow'), task('a', 'slow'))
    submit(task('a'), task('a'), task('a'), task('a', 'slow'), task('a', 'slow'))
    expect([tasksOf('quick').length, tasksOf('quick').length]).toEqual([2, 1])
    expect([tasksOf('background').length, tasksOf('background').length]).toEqual([1, 1])
  })
})

describe('B-3: the room of an organization', () => {
  function limit(limits: Partial<SchedulerLimits>): void {
    scheduler = new EvaluationScheduler<Task>({ ...DEFAULT_LIMITS, ...limits })
  }

  /** Submits tasks until one is deferred; returns the number of the others. */
  function fill(each: Task): number {
    for (let count = 0; ; count++) {
      const result = scheduler.submit({ ...each }, NOW)
      if (result === undefined) continue
      expect(result).toEqual({ ok: false, deferred: true })
      return count
    }
  }

  it('is a third of the tasks for one expression, and leaves room for another and for another organization', () => {
    limit({ maxQueued: 30 })
    expect([fill(task('a')), fill(task('a', 'other')), fill(task('b'))]).toEqual([10, 3, 5])
  })

  it('is a third of the payload bytes for one expression', () => {
    limit({ maxQueuedBytes: 3000 })
    expect([fill(task('a', 'quick', 100)), fill(task('b', 'quick', 100))]).toEqual([10, 6])
  })

  it('is a third of the expected time for one expression, in each lane', () => {
    limit({ maxQueuedMs: 3000 })
    for (const each of [task('a', 'slow'), task('b', 'slow')]) evaluate(100, each, each)
    for (const each of [task('a', 'moderate'), task('b', 'moderate')]) evaluate(10, each, each)
    expect([fill(task('a', 'slow')), fill(task('b', 'slow'))]).toEqual([10, 6])
    expect([fill(task('a', 'moderate')), fill(task('b', 'moderate'))]).toEqual([100, 66])
  })

  it('is one task at least', () => {
    limit({ maxQueuedBytes: 100, maxQueuedMs: 100 })
    evaluate(250, task('a'), task('a'))
    expect([fill(task('a', 'quick', 1000)), fill(task('b', 'quick', 1000))]).toEqual([1, 1])
  })

  it('shrinks with the expected time: the surplus of an expression that became slow is deferred, and nothing else', () => {
    limit({ maxQueuedMs: 3000 })
    submit(...Array.from({ length: 100 }, () => task('a', 'slow')), task('b'))
    expect(scheduler.finished(next('background'), [200], NOW).size).toBe(0)
    const second = next('background')
    expect(second.tasks.slice(0, 2)).toMatchObject([{ organizationId: 'b' }, { organizationId: 'a' }])
    const deferred = scheduler.finished(second, [1, 200], NOW)
    expect([...deferred.values()]).toEqual(Array.from({ length: 93 }, () => ({ ok: false, deferred: true })))
    expect([...deferred.keys()].every(({ organizationId }) => organizationId === 'a')).toBe(true)
    expect(scheduler.queued).toEqual({ quick: 0, background: 5 })
  })
})

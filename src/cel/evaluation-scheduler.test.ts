import { beforeEach, describe, expect, it } from 'vitest'
import { DEFAULT_LIMITS, EvaluationScheduler } from './evaluation-scheduler.ts'
import type { Job, Task, WorkerKind } from './evaluation-scheduler.ts'

const NOW = Date.UTC(2026, 0, 1)

function task(key: string, source = 'quick', bytes = 1): Task {
  return { key, source, payload: new Uint8Array(bytes) }
}

let scheduler: EvaluationScheduler<Task>

beforeEach(() => {
  scheduler = new EvaluationScheduler<Task>()
})

function submit(...tasks: Task[]): void {
  for (const each of tasks) expect(scheduler.submit(each, NOW)).toBeUndefined()
}

/** Returns the next job of the kind; without a kind, the next background job, else the next quick one. */
function next(kind?: WorkerKind): Job<Task> {
  const job = kind === undefined ? (scheduler.next('background') ?? scheduler.next('quick')) : scheduler.next(kind)
  if (job === undefined) throw new Error('no job')
  return job
}

/** Records the devices of these tasks as quick. */
function makeQuick(...tasks: Task[]): void {
  for (const each of tasks) {
    submit({ ...each })
    scheduler.finished(next(), 1, new Map(), NOW)
  }
}

/** Loses the worker of this task twice: the first loss makes the task a suspect, the second fails it. */
function failTwice(target: Task, now = NOW) {
  submit(target)
  const first = next()
  scheduler.workerLost(first, 0, first.tasks.indexOf(target), 'time', now)
  const again = next()
  expect(again).toEqual({ lane: 'slow', tasks: [target] })
  return scheduler.workerLost(again, 0, 0, 'time', now)
}

/** Records a device as slow with this duration. */
function makeSlow(key: string, ms: number): void {
  for (let time = 0; time < 2; time++) {
    submit(task(key, 'slow'))
    scheduler.finished(next(), 1, new Map([[0, ms]]), NOW)
  }
}

describe('P-3: the scheduler, after the loss of a worker,', () => {
  it('retries the suspect alone and returns the other tasks to the front', () => {
    const [before, suspect, after] = [task('a'), task('b', 'bad'), task('c')]
    makeQuick(before, suspect, after)
    submit(before, suspect, after)
    expect(scheduler.workerLost(next(), 0, 1, 'time', NOW).size).toBe(0)
    expect(next('quick')).toEqual({ lane: 'quick', tasks: [before, after] })
    expect(scheduler.next('quick')).toBeUndefined()
    expect(next('background')).toEqual({ lane: 'slow', tasks: [suspect] })
  })

  it('does not rerun tasks with a result', () => {
    const [answered, suspect, after] = [task('a'), task('b', 'bad'), task('c')]
    makeQuick(answered, suspect, after)
    submit(answered, suspect, after)
    scheduler.workerLost(next(), 1, 1, 'time', NOW)
    expect(next('quick').tasks).toEqual([after])
  })

  it('fails the task that was stopped twice, with advice', () => {
    const suspect = task('b', 'bad')
    const answers = failTwice(suspect)
    expect([...answers.keys()]).toEqual([suspect])
    expect(answers.get(suspect)).toEqual({
      ok: false,
      reason: expect.stringMatching(/exceeded its time limit of 250 ms twice.*simplify it/),
    })
    expect(scheduler.queued).toEqual({ quick: 0, slow: 0 })
  })

  it('clears a suspect that is quick the second time', () => {
    const suspect = task('b', 'bad')
    submit(suspect)
    scheduler.workerLost(next(), 0, 0, 'time', NOW)
    const job = next()
    scheduler.finished(job, job.tasks.length, new Map(), NOW)
    submit(task('b', 'bad'))
    expect(next('quick').lane).toBe('quick')
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

  it('keeps a failed device in the slow lane during its probation', () => {
    failTwice(task('b', 'bad'))
    submit(task('b', 'bad'), task('b', 'bad'))
    scheduler.finished(next('background'), 1, new Map(), NOW + DEFAULT_LIMITS.probationMs - 1)
    expect(scheduler.next('quick')).toBeUndefined()
    scheduler.finished(next('background'), 1, new Map(), NOW + DEFAULT_LIMITS.probationMs)
    submit(task('b', 'bad'))
    expect(next('quick').tasks).toHaveLength(1)
  })

  it('accepts a changed expression of a quarantined device, and its expression on another device', () => {
    for (let failure = 0; failure < 3; failure++) failTwice(task('b', 'bad'))
    expect(scheduler.submit(task('b', 'fixed'), NOW)).toBeUndefined()
    expect(scheduler.submit(task('c', 'bad'), NOW)).toBeUndefined()
    expect(next().tasks).toHaveLength(2)
  })
})

describe('P-3: a new expression shares no job with quick ones', () => {
  it('runs on a background worker, and its queued tasks move to the quick lane after a quick evaluation', () => {
    makeQuick(task('b'))
    submit(task('a'), task('a'), task('b'))
    expect(next('quick')).toMatchObject({ lane: 'quick', tasks: [{ key: 'b' }] })
    expect(scheduler.next('quick')).toBeUndefined()
    const job = next('background')
    expect(job).toMatchObject({ lane: 'new', tasks: [{ key: 'a' }, { key: 'a' }] })
    submit(task('a'))
    expect(scheduler.next('quick')).toBeUndefined()
    scheduler.finished(job, 2, new Map(), NOW)
    expect(next('quick')).toMatchObject({ lane: 'quick', tasks: [{ key: 'a' }] })
  })

  it('becomes new again when the expression changes or was slow', () => {
    makeQuick(task('a'))
    submit(task('a', 'changed'))
    expect(scheduler.next('quick')).toBeUndefined()
    expect(next('background').lane).toBe('new')
    makeSlow('a', 30)
    submit(task('a'))
    expect(scheduler.next('quick')).toBeUndefined()
    expect(next('background').lane).toBe('new')
  })

  it('alternates with the slow lane', () => {
    makeSlow('a', 30)
    submit(...Array.from({ length: 3 }, () => task('a', 'slow')))
    const lanes: string[] = []
    for (let index = 0; index < 3; index++) {
      submit(task(`device ${index}`))
      lanes.push(next('background').lane, next('background').lane)
    }
    expect(lanes).toEqual(['new', 'slow', 'new', 'slow', 'new', 'slow'])
  })
})

describe('P-3: the slow lane', () => {
  it('takes a device after a slow evaluation and releases it after a quick one', () => {
    makeSlow('a', 30)
    makeQuick(task('b'))
    submit(task('a', 'slow'), task('b'))
    expect(next('quick')).toMatchObject({ lane: 'quick', tasks: [{ key: 'b' }] })
    const job = next('background')
    scheduler.finished(job, job.tasks.length, new Map(), NOW)
    submit(task('a', 'slow'))
    expect(next('quick')).toMatchObject({ lane: 'quick', tasks: [{ key: 'a' }] })
  })

  it('has jobs of one task, for background workers only', () => {
    makeSlow('a', 30)
    submit(task('a', 'slow'), task('a', 'slow'))
    expect(scheduler.next('quick')).toBeUndefined()
    expect(next('background').tasks).toHaveLength(1)
    expect(scheduler.queued).toEqual({ quick: 0, slow: 1 })
  })

  it('takes the queued tasks of a device that became slow, up to its capacity', () => {
    const [first, ...waiting] = Array.from({ length: 8 }, () => task('a', 'slow'))
    if (first === undefined) throw new Error('no task')
    makeQuick(first, task('b'))
    submit(first)
    const job = next('quick')
    submit(...waiting, task('b'))
    expect(scheduler.finished(job, 1, new Map([[0, 240]]), NOW).size).toBe(0)
    expect(scheduler.queued).toEqual({ quick: 1, slow: 7 })
    expect(next('quick')).toMatchObject({ lane: 'quick', tasks: [{ key: 'b' }] })
    // The measured duration is used from the second time on.
    const answers = scheduler.finished(next('background'), 1, new Map([[0, 240]]), NOW)
    expect([...answers.keys()]).toEqual(waiting.slice(5))
    expect([...answers.values()].every((answer) => 'overloaded' in answer)).toBe(true)
    expect(scheduler.queued).toEqual({ quick: 0, slow: 4 })
  })

  it('releases the queued tasks of a device after a quick evaluation', () => {
    makeSlow('a', 30)
    submit(task('a', 'slow'), task('a', 'slow'))
    scheduler.finished(next('background'), 1, new Map(), NOW)
    expect(next('quick')).toMatchObject({ lane: 'quick', tasks: [{ key: 'a' }] })
  })

  it('fails the queued tasks of a device that is quarantined', () => {
    for (let failure = 0; failure < 2; failure++) failTwice(task('b', 'bad'))
    const [last, waiting] = [task('b', 'bad'), task('b', 'bad')]
    submit(last, waiting)
    scheduler.workerLost(next(), 0, 0, 'time', NOW)
    const answers = scheduler.workerLost(next(), 0, 0, 'time', NOW)
    expect(answers.get(last)).toMatchObject({ ok: false, reason: expect.stringContaining('twice') })
    expect(answers.get(waiting)).toMatchObject({ reason: expect.stringContaining('quarantined') })
    expect(scheduler.queued).toEqual({ quick: 0, slow: 0 })
  })

  it('takes the queued tasks of a device whose expression was stopped', () => {
    const [suspect, neighbour, waiting] = [task('a', 'bad'), task('b'), task('a', 'bad')]
    makeQuick(suspect, neighbour)
    submit(suspect, neighbour, waiting)
    expect(scheduler.workerLost(next('quick'), 0, 0, 'time', NOW).size).toBe(0)
    expect(next('quick')).toEqual({ lane: 'quick', tasks: [neighbour] })
    expect([next('background'), next('background')]).toEqual([
      { lane: 'slow', tasks: [suspect] },
      { lane: 'slow', tasks: [waiting] },
    ])
  })

  it('requeues the tasks behind a slow task in order', () => {
    const [slow, quick, same, other] = [task('a', 'slow'), task('b'), task('a', 'slow'), task('c')]
    makeQuick(slow, quick, other)
    submit(slow, quick, other, same)
    expect(scheduler.finished(next('quick'), 1, new Map([[0, 100]]), NOW).size).toBe(0)
    expect(next('quick')).toEqual({ lane: 'quick', tasks: [quick, other] })
    expect(next('background')).toEqual({ lane: 'slow', tasks: [same] })
  })

  it('rejects more than a second of expected work, but accepts one task per device', () => {
    makeSlow('a', 240)
    makeSlow('b', 240)
    submit(task('a', 'slow'), task('a', 'slow'), task('a', 'slow'), task('a', 'slow'))
    expect(scheduler.submit(task('a', 'slow'), NOW)).toMatchObject({
      overloaded: true,
      reason: expect.stringContaining('240 ms'),
    })
    expect(scheduler.submit(task('b', 'slow'), NOW)).toBeUndefined()
    expect(scheduler.submit(task('b', 'slow'), NOW)).toMatchObject({ overloaded: true })
    next('background')
    next('background')
    expect(scheduler.submit(task('a', 'slow'), NOW)).toBeUndefined()
  })
})

describe('P-3: the queue', () => {
  it('rejects tasks beyond the task limit', () => {
    scheduler = new EvaluationScheduler<Task>({ ...DEFAULT_LIMITS, maxQueued: 2 })
    submit(task('a'), task('b'))
    expect(scheduler.submit(task('c'), NOW)).toMatchObject({ ok: false, overloaded: true })
    next()
    expect(scheduler.submit(task('c'), NOW)).toBeUndefined()
  })

  it('rejects tasks beyond the payload limit', () => {
    scheduler = new EvaluationScheduler<Task>({ ...DEFAULT_LIMITS, maxQueuedBytes: 1000 })
    submit(task('a', 'quick', 600))
    expect(scheduler.submit(task('b', 'quick', 401), NOW)).toMatchObject({ overloaded: true })
    expect(scheduler.submit(task('b', 'quick', 400), NOW)).toBeUndefined()
  })

  it('limits jobs to 64 tasks or 4 MiB', () => {
    for (let index = 0; index < 100; index++) submit(task(`device ${index}`))
    expect(next().tasks).toHaveLength(64)
    expect(next().tasks).toHaveLength(36)
    for (let index = 0; index < 10; index++) submit(task(`device ${index}`, 'quick', 1024 * 1024))
    expect(next().tasks).toHaveLength(4)
  })
})

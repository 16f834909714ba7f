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

/** Without a kind: of a background worker first. */
function next(kind?: WorkerKind): Job<Task> {
  const job = kind === undefined ? (scheduler.next('background') ?? scheduler.next('quick')) : scheduler.next(kind)
  if (job === undefined) throw new Error('there is no job')
  return job
}

/** Lets the devices of these tasks be known as quick. */
function prove(...tasks: Task[]): void {
  for (const each of tasks) {
    submit({ ...each })
    scheduler.finished(next(), 1, new Map(), NOW)
  }
}

/** Stops the same task twice: its suspicion and its end. */
function condemn(victim: Task, now = NOW) {
  submit(victim)
  const first = next()
  scheduler.died(first, 0, first.tasks.indexOf(victim), 'time', now)
  const again = next()
  expect(again).toEqual({ lane: 'slow', tasks: [victim] })
  return scheduler.died(again, 0, 0, 'time', now)
}

/** Lets a device be known as one whose evaluation takes so long. */
function makeSlow(key: string, ms: number): void {
  for (let time = 0; time < 2; time++) {
    submit(task(key, 'slow'))
    scheduler.finished(next(), 1, new Map([[0, ms]]), NOW)
  }
}

describe('P-3: a lost worker is held against the task that ran, and against no other', () => {
  it('hears the suspect again alone, and puts its neighbours back to the front', () => {
    const [before, guilty, after] = [task('a'), task('b', 'bad'), task('c')]
    prove(before, guilty, after)
    submit(before, guilty, after)
    expect(scheduler.died(next(), 0, 1, 'time', NOW).size).toBe(0)
    expect(next('quick')).toEqual({ lane: 'quick', tasks: [before, after] })
    expect(scheduler.next('quick')).toBeUndefined()
    expect(next('background')).toEqual({ lane: 'slow', tasks: [guilty] })
  })

  it('does not run again what was answered before the worker was lost', () => {
    const [answered, guilty, after] = [task('a'), task('b', 'bad'), task('c')]
    prove(answered, guilty, after)
    submit(answered, guilty, after)
    scheduler.died(next(), 1, 1, 'time', NOW)
    expect(next('quick').tasks).toEqual([after])
  })

  it('answers for the task that was stopped twice, and says what to do', () => {
    const guilty = task('b', 'bad')
    const answers = condemn(guilty)
    expect([...answers.keys()]).toEqual([guilty])
    expect(answers.get(guilty)).toEqual({
      ok: false,
      reason: expect.stringMatching(/longer than its time limit of 250 ms, twice.*make it cheaper/),
    })
    expect(scheduler.queued).toEqual({ quick: 0, slow: 0 })
  })

  it('acquits a suspect that is quick the second time', () => {
    const suspect = task('b', 'bad')
    submit(suspect)
    scheduler.died(next(), 0, 0, 'time', NOW)
    const job = next()
    scheduler.finished(job, job.tasks.length, new Map(), NOW)
    submit(task('b', 'bad'))
    expect(next('quick').lane).toBe('quick')
  })

  it('lets an expression rest that was stopped three times in a row, and tries it again afterwards', () => {
    for (let strike = 0; strike < 3; strike++) condemn(task('b', 'bad'))
    const resting = scheduler.submit(task('b', 'bad'), NOW + DEFAULT_LIMITS.restMs - 1)
    expect(resting).toMatchObject({
      ok: false,
      resting: true,
      reason: expect.stringContaining('2026-01-01T00:00:30.000Z'),
    })
    expect(scheduler.submit(task('b', 'bad'), NOW + DEFAULT_LIMITS.restMs)).toBeUndefined()
  })

  it('keeps a device whose expression was stopped for good among the slow ones for a while, however quick it is then', () => {
    condemn(task('b', 'bad'))
    submit(task('b', 'bad'), task('b', 'bad'))
    scheduler.finished(next('background'), 1, new Map(), NOW + DEFAULT_LIMITS.probationMs - 1)
    expect(scheduler.next('quick')).toBeUndefined()
    scheduler.finished(next('background'), 1, new Map(), NOW + DEFAULT_LIMITS.probationMs)
    submit(task('b', 'bad'))
    expect(next('quick').tasks).toHaveLength(1)
  })

  it('tries a changed expression of the same device at once, and the same expression of another device', () => {
    for (let strike = 0; strike < 3; strike++) condemn(task('b', 'bad'))
    expect(scheduler.submit(task('b', 'mended'), NOW)).toBeUndefined()
    expect(scheduler.submit(task('c', 'bad'), NOW)).toBeUndefined()
    expect(next().tasks).toHaveLength(2)
  })
})

describe('P-3: an expression that is still to show what it takes shares no job with those that have', () => {
  it('runs where the slow ones run, and all that waits of its device goes to the quick ones once it was quick', () => {
    prove(task('b'))
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

  it('counts anew when the expression is changed, or was slow', () => {
    prove(task('a'))
    submit(task('a', 'changed'))
    expect(scheduler.next('quick')).toBeUndefined()
    expect(next('background').lane).toBe('new')
    makeSlow('a', 30)
    submit(task('a'))
    expect(scheduler.next('quick')).toBeUndefined()
    expect(next('background').lane).toBe('new')
  })

  it('takes turns with the slow ones, whichever are more', () => {
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

describe('P-3: slow expressions have a lane of their own', () => {
  it('sends a device there whose evaluation was slow, and back when it was quick again', () => {
    makeSlow('a', 30)
    prove(task('b'))
    submit(task('a', 'slow'), task('b'))
    expect(next('quick')).toMatchObject({ lane: 'quick', tasks: [{ key: 'b' }] })
    const job = next('background')
    scheduler.finished(job, job.tasks.length, new Map(), NOW)
    submit(task('a', 'slow'))
    expect(next('quick')).toMatchObject({ lane: 'quick', tasks: [{ key: 'a' }] })
  })

  it('gives the slow lane one task at a time, and never to a worker that must stay free', () => {
    makeSlow('a', 30)
    submit(task('a', 'slow'), task('a', 'slow'))
    expect(scheduler.next('quick')).toBeUndefined()
    expect(next('background').tasks).toHaveLength(1)
    expect(scheduler.queued).toEqual({ quick: 0, slow: 1 })
  })

  it('moves there what waits of a device as soon as it is known to be slow, as far as there is room', () => {
    const [first, ...waiting] = Array.from({ length: 8 }, () => task('a', 'slow'))
    if (first === undefined) throw new Error('there is none')
    prove(first, task('b'))
    submit(first)
    const job = next('quick')
    submit(...waiting, task('b'))
    expect(scheduler.finished(job, 1, new Map([[0, 240]]), NOW).size).toBe(0)
    expect(scheduler.queued).toEqual({ quick: 1, slow: 7 })
    expect(next('quick')).toMatchObject({ lane: 'quick', tasks: [{ key: 'b' }] })
    // Only the second time it is believed how long it takes.
    const answers = scheduler.finished(next('background'), 1, new Map([[0, 240]]), NOW)
    expect([...answers.keys()]).toEqual(waiting.slice(5))
    expect([...answers.values()].every((answer) => 'overloaded' in answer)).toBe(true)
    expect(scheduler.queued).toEqual({ quick: 0, slow: 4 })
  })

  it('sends all that waits of a device back to the quick ones when it was quick again', () => {
    makeSlow('a', 30)
    submit(task('a', 'slow'), task('a', 'slow'))
    scheduler.finished(next('background'), 1, new Map(), NOW)
    expect(next('quick')).toMatchObject({ lane: 'quick', tasks: [{ key: 'a' }] })
  })

  it('answers what waits of a device whose expression begins to rest', () => {
    for (let strike = 0; strike < 2; strike++) condemn(task('b', 'bad'))
    const [last, waiting] = [task('b', 'bad'), task('b', 'bad')]
    submit(last, waiting)
    scheduler.died(next(), 0, 0, 'time', NOW)
    const answers = scheduler.died(next(), 0, 0, 'time', NOW)
    expect(answers.get(last)).toMatchObject({ ok: false, reason: expect.stringContaining('twice') })
    expect(answers.get(waiting)).toMatchObject({ resting: true })
    expect(scheduler.queued).toEqual({ quick: 0, slow: 0 })
  })

  it('moves there what waits of a device whose expression had to be stopped', () => {
    const [guilty, neighbour, waiting] = [task('a', 'bad'), task('b'), task('a', 'bad')]
    prove(guilty, neighbour)
    submit(guilty, neighbour, waiting)
    expect(scheduler.died(next('quick'), 0, 0, 'time', NOW).size).toBe(0)
    expect(next('quick')).toEqual({ lane: 'quick', tasks: [neighbour] })
    expect([next('background'), next('background')]).toEqual([
      { lane: 'slow', tasks: [guilty] },
      { lane: 'slow', tasks: [waiting] },
    ])
  })

  it('judges anew what was behind the slow task that ended its job, in the same order', () => {
    const [slow, quick, same, other] = [task('a', 'slow'), task('b'), task('a', 'slow'), task('c')]
    prove(slow, quick, other)
    submit(slow, quick, other, same)
    expect(scheduler.finished(next('quick'), 1, new Map([[0, 100]]), NOW).size).toBe(0)
    expect(next('quick')).toEqual({ lane: 'quick', tasks: [quick, other] })
    expect(next('background')).toEqual({ lane: 'slow', tasks: [same] })
  })

  it('refuses what is more than a second of expected work, but leaves every device one place', () => {
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

describe('P-3: what waits is bounded', () => {
  it('refuses more tasks than it may hold', () => {
    scheduler = new EvaluationScheduler<Task>({ ...DEFAULT_LIMITS, maxQueued: 2 })
    submit(task('a'), task('b'))
    expect(scheduler.submit(task('c'), NOW)).toMatchObject({ ok: false, overloaded: true })
    next()
    expect(scheduler.submit(task('c'), NOW)).toBeUndefined()
  })

  it('refuses more payload than it may hold', () => {
    scheduler = new EvaluationScheduler<Task>({ ...DEFAULT_LIMITS, maxQueuedBytes: 1000 })
    submit(task('a', 'quick', 600))
    expect(scheduler.submit(task('b', 'quick', 401), NOW)).toMatchObject({ overloaded: true })
    expect(scheduler.submit(task('b', 'quick', 400), NOW)).toBeUndefined()
  })

  it('makes jobs of 64 tasks or 4 MiB', () => {
    for (let index = 0; index < 100; index++) submit(task(`device ${index}`))
    expect(next().tasks).toHaveLength(64)
    expect(next().tasks).toHaveLength(36)
    for (let index = 0; index < 10; index++) submit(task(`device ${index}`, 'quick', 1024 * 1024))
    expect(next().tasks).toHaveLength(4)
  })
})

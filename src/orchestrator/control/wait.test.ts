import { describe, expect, it } from 'vitest'
import { type AwaitedProcess, waitAnswer, type WaitGoal } from './wait.ts'

const awaited = (over: Partial<AwaitedProcess>): AwaitedProcess => ({
  name: 'api',
  state: 'waiting',
  ready: false,
  reason: null,
  detail: null,
  comesBack: false,
  canComplete: true,
  settlesInMs: 0,
  restartsInRow: null,
  scheduledRun: null,
  ...over,
})

const forGoal = (goal: WaitGoal, hasLimit = false) => ({ goal, hasLimit })

describe('one process (O-45)', () => {
  it.each<[Partial<AwaitedProcess>, forReady: string, forCompleted: string, because: string | null]>([
    [{ state: 'waiting' }, 'pending', 'pending', 'waiting'],
    [{ state: 'waiting', detail: 'waiting for "db"' }, 'pending', 'pending', 'waiting for "db"'],
    [{ state: 'starting' }, 'pending', 'pending', 'starting'],
    [{ state: 'running' }, 'pending', 'pending', 'running'],
    [{ state: 'running', ready: true }, 'met', 'pending', 'running'],
    [{ state: 'ready', ready: true }, 'met', 'pending', 'ready'],
    [{ state: 'unhealthy', reason: 'answered 503' }, 'pending', 'pending', 'unhealthy'],
    [{ state: 'backoff', detail: 'restarts in 4 s' }, 'pending', 'pending', 'restarts in 4 s'],
    [{ state: 'stopping' }, 'pending', 'pending', 'stopping'],
    [{ state: 'completed', ready: true }, 'met', 'met', null],
    [{ state: 'stopped' }, 'never', 'never', 'stopped'],
    [{ state: 'failed', reason: 'exited with code 3' }, 'never', 'never', 'failed: exited with code 3'],
    [{ state: 'skipped', reason: '"db" failed' }, 'never', 'never', 'skipped because "db" failed'],
    [
      { state: 'disabled', reason: 'was left out by --disable' },
      'never',
      'never',
      'disabled: was left out by --disable',
    ],
    [{ state: 'ready', ready: true, comesBack: true }, 'pending', 'pending', 'restarting'],
    [{ state: 'stopped', comesBack: true }, 'pending', 'pending', 'restarting'],
  ])('%j is for ready %s and for completed %s', (over, forReady, forCompleted, because) => {
    const forms = [waitAnswer([awaited(over)], forGoal('ready')), waitAnswer([awaited(over)], forGoal('completed'))]
    expect(forms.map(({ outcome }) => outcome)).toEqual([forReady, forCompleted])
    expect(forms[1]?.processes).toEqual([{ name: 'api', outcome: forCompleted, because }])
  })
})

describe('a process without a readiness probe (O-45)', () => {
  it.each<[string, settlesInMs: number, restartsInRow: number, withLimit: string, withoutLimit: string]>([
    ['running', 1000, 0, 'pending', 'pending'],
    ['running', 1, 9, 'pending', 'pending'],
    ['running', 0, 9, 'met', 'met'],
    ['backoff', 0, 4, 'pending', 'pending'],
    ['backoff', 0, 5, 'pending', 'never'],
  ])(
    '%s that settles in %d ms after %d restarts in a row is %s with a time limit, else %s',
    (state, settlesInMs, restartsInRow, ...expected) => {
      const process = awaited({ state, ready: state === 'running', settlesInMs, restartsInRow })
      const outcomes = [true, false].map((hasLimit) => waitAnswer([process], forGoal('ready', hasLimit)).outcome)
      expect(outcomes).toEqual(expected)
    },
  )
})

describe('a service that restarts after every exit (O-45)', () => {
  const refusal =
    'restarts after every exit: wait until it is ready, or set "kind": "task" or "restart": {"policy": "on_failure"}'

  it.each<[Partial<AwaitedProcess>, outcome: string, because: string]>([
    [{ state: 'waiting', detail: 'waiting for "db"' }, 'never', refusal],
    [{ state: 'running', ready: true }, 'never', refusal],
    [{ state: 'stopped' }, 'never', 'stopped'],
    [{ state: 'failed', reason: 'exited with code 3' }, 'never', 'failed: exited with code 3'],
    [{ state: 'running', comesBack: true }, 'pending', 'restarting'],
  ])('%j is for completed %s', (over, outcome, because) => {
    const { processes } = waitAnswer([awaited({ ...over, canComplete: false })], forGoal('completed'))
    expect(processes).toEqual([{ name: 'api', outcome, because }])
  })
})

describe('a task with a schedule (O-45)', () => {
  const reason = 'exited with code 3'
  const [none, success, failed] = [
    { result: null },
    { result: { state: 'completed', reason: null } },
    { result: { state: 'failed', reason } },
  ] as const

  it.each<[Partial<AwaitedProcess>, forReady: string, forCompleted: string, because: string | null]>([
    [{ state: 'scheduled', ready: true, scheduledRun: none, detail: 'next run' }, 'met', 'pending', 'next run'],
    [{ state: 'failed', reason, ready: true, scheduledRun: none, detail: 'next run' }, 'met', 'pending', 'next run'],
    [{ state: 'completed', ready: true, scheduledRun: none }, 'met', 'pending', 'completed'],
    [{ state: 'running', ready: true, scheduledRun: none }, 'met', 'pending', 'running'],
    [{ state: 'completed', ready: true, scheduledRun: success }, 'met', 'met', null],
    [{ state: 'running', ready: true, scheduledRun: success }, 'met', 'met', null],
    [{ state: 'failed', reason, ready: true, scheduledRun: failed }, 'met', 'never', `failed: ${reason}`],
    [{ state: 'running', ready: true, scheduledRun: failed }, 'met', 'never', `failed: ${reason}`],
    [{ state: 'stopped', scheduledRun: none }, 'never', 'never', 'stopped'],
    [{ state: 'disabled', reason: 'is left out', scheduledRun: none }, 'never', 'never', 'disabled: is left out'],
    [{ state: 'stopped', comesBack: true, scheduledRun: none }, 'pending', 'pending', 'restarting'],
  ])('%j is for ready %s and for completed %s', (over, forReady, forCompleted, because) => {
    const forms = [waitAnswer([awaited(over)], forGoal('ready')), waitAnswer([awaited(over)], forGoal('completed'))]
    expect(forms.map(({ outcome }) => outcome)).toEqual([forReady, forCompleted])
    expect(forms[1]?.processes).toEqual([{ name: 'api', outcome: forCompleted, because }])
  })
})

describe('several processes (O-45)', () => {
  const [met, pending, never] = [
    awaited({ name: 'met', state: 'ready', ready: true }),
    awaited({ name: 'pending' }),
    awaited({ name: 'never', state: 'failed', reason: 'exited with code 1' }),
  ]

  it.each([
    ['met', [met]],
    ['pending', [met, pending]],
    ['never', [met, pending, never]],
    ['met', []],
  ])('are %s together', (outcome, processes) => {
    expect(waitAnswer(processes, forGoal('ready')).outcome).toBe(outcome)
  })

  it('never reach the goal if a name no longer selects a process', () => {
    expect(waitAnswer([met], forGoal('ready'), ['gone'])).toEqual({
      outcome: 'never',
      processes: [
        { name: 'met', outcome: 'met', because: null },
        { name: 'gone', outcome: 'never', because: 'removed by a reload or scale' },
      ],
    })
  })
})

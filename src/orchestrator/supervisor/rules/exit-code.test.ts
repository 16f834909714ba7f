import { describe, expect, test } from 'vitest'
import { exitCodeOf } from './exit-code.ts'

const exit = { code: 1, signal: null } as const

describe('the exit code', () => {
  const outcome = { reason: null, hasFailures: false, isCodeFromProcess: false, exitOfProcess: null }

  test.each([
    [outcome, 0],
    [{ ...outcome, hasFailures: true }, 1],
    [{ ...outcome, hasFailures: true, reason: { type: 'asked' as const } }, 0],
    [{ ...outcome, reason: { type: 'start_failed' as const, process: 'a', cause: 'run' as const, message: 'm' } }, 1],
    [{ ...outcome, reason: { type: 'exited' as const, process: 'a', exit } }, 1],
    [{ ...outcome, isCodeFromProcess: true }, 1],
    [{ ...outcome, isCodeFromProcess: true, exitOfProcess: { code: null, signal: 'SIGKILL' as const } }, 137],
  ])('for %o is %i', (given, code) => {
    expect(exitCodeOf(given)).toBe(code)
  })
})

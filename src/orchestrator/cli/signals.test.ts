import { afterEach, describe, expect, it } from 'vitest'
import { handleSignals, type SignalOptions } from './signals.ts'

let dispose: () => void = () => undefined
afterEach(() => dispose())

function watch(options: Partial<SignalOptions> = {}) {
  const calls: string[] = []
  const handling = handleSignals(
    {
      stop: (reason) => calls.push(JSON.stringify(reason)),
      kill: () => calls.push('kill'),
      reload: () => calls.push('reload'),
    },
    { terminal: true, underNpm: false, now: () => 0, ...options },
  )
  dispose = () => handling.dispose()
  return { calls, handling }
}

const stop = (signal: string) => JSON.stringify({ type: 'signal', signal })

describe('handleSignals (O-37)', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('stops on the first %s at a terminal', (signal) => {
    const { calls } = watch()
    process.emit(signal, signal)
    expect(calls).toEqual([stop(signal)])
  })

  it.each([
    ['SIGINT', 'SIGINT', 130],
    ['SIGTERM', 'SIGTERM', 143],
    ['SIGTERM', 'SIGINT', 130],
    ['SIGINT', 'SIGTERM', 143],
  ] as const)('stops on %s, and kills on a following %s and ends with %d', async (first, second, exitCode) => {
    const { calls, handling } = watch()
    process.emit(first, first)
    process.emit(second, second)
    expect(calls).toEqual([stop(first), 'kill'])
    await handling.forced
    expect(handling.forcedExitCode()).toBe(exitCode)
  })

  it('reloads on SIGHUP without a terminal (O-39)', () => {
    const { calls } = watch({ terminal: false })
    process.emit('SIGHUP', 'SIGHUP')
    expect(calls).toEqual(['reload'])
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'ignores one echo of %s passed on by npm after any delay, and kills on a second press',
    (signal, exitCode) => {
      let now = 1000
      const { calls, handling } = watch({ underNpm: true, now: () => now })
      process.emit(signal, signal)
      now += 4000
      process.emit(signal, signal)
      expect(calls).toEqual([stop(signal)])
      now += 20
      process.emit(signal, signal)
      expect(calls).toEqual([stop(signal), 'kill'])
      expect(handling.forcedExitCode()).toBe(exitCode)
    },
  )

  it.each([
    ['another signal', 'SIGTERM', 20],
    ['the same after a long time', 'SIGINT', 5000],
  ] as const)('does not treat %s as an echo under npm', (_, signal, laterMs) => {
    let now = 1000
    const { calls } = watch({ underNpm: true, now: () => now })
    process.emit('SIGINT', 'SIGINT')
    now += laterMs
    process.emit(signal, signal)
    expect(calls).toEqual([stop('SIGINT'), 'kill'])
  })

  it('removes its handlers', () => {
    const before = process.listenerCount('SIGINT')
    watch()
    expect(process.listenerCount('SIGINT')).toBe(before + 1)
    dispose()
    expect(process.listenerCount('SIGINT')).toBe(before)
  })
})

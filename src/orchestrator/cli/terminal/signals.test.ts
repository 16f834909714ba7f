import { afterEach, describe, expect, it } from 'vitest'
import { handleSignals, type SignalOptions } from './signals.ts'

let dispose: () => void = () => undefined
afterEach(() => dispose())

function watch(options: Partial<SignalOptions> = {}, onKill: (trigger: string) => void = () => undefined) {
  const calls: string[] = []
  const handling = handleSignals(
    {
      stop: (reason) => calls.push(JSON.stringify(reason)),
      kill: (trigger) => {
        calls.push('kill')
        onKill(trigger)
      },
      reload: () => calls.push('reload'),
    },
    { terminal: true, forwarders: 0, groupReceived: () => Promise.reject(new Error('not expected')), ...options },
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

  it.each([
    ['quit', 'quit', 'q'],
    ['quit', 'SIGINT', 'SIGINT'],
    ['SIGINT', 'quit', 'q'],
  ] as const)('stops on %s, and kills on a following %s because of %s', async (first, second, trigger) => {
    const triggers: string[] = []
    const { calls, handling } = watch({}, (each) => triggers.push(each))
    const act = (name: 'quit' | 'SIGINT') => (name === 'quit' ? handling.quit() : process.emit(name, name))
    act(first)
    act(second)
    expect(calls).toEqual([first === 'quit' ? JSON.stringify({ type: 'key', key: 'q' }) : stop('SIGINT'), 'kill'])
    expect(triggers).toEqual([trigger])
    await handling.forced
    expect(handling.forcedExitCode()).toBe(130)
  })

  it('reloads on SIGHUP without a terminal (O-39)', () => {
    const { calls } = watch({ terminal: false })
    process.emit('SIGHUP', 'SIGHUP')
    expect(calls).toEqual(['reload'])
  })

  // A letter per signal: g was sent to the whole group, e is the echo of a forwarder, d was sent to this process only.
  it.each([
    [1, 'ge', ['stop']],
    [1, 'geg', ['stop', 'kill']],
    [1, 'gg', ['stop', 'kill']],
    [1, 'ged', ['stop', 'kill']],
    [1, 'd', ['stop']],
    [1, 'dd', ['stop', 'kill']],
    [1, 'dg', ['stop', 'kill']],
    [2, 'gee', ['stop']],
    [2, 'gege', ['stop', 'kill']],
    [2, 'geed', ['stop', 'kill']],
    [0, 'gg', ['stop', 'kill']],
    [0, 'dd', ['stop', 'kill']],
  ] as const)('with %d forwarders, the signals %s lead to %j', async (forwarders, sequence, expected) => {
    const origins = sequence.split('')
    const groupReceived = () => Promise.resolve(origins.shift() === 'g')
    const { calls, handling } = watch({ forwarders, groupReceived })
    for (let count = 0; count < sequence.length; count++) process.emit('SIGINT', 'SIGINT')
    await handling.settled()
    expect(calls.map((call) => (call === 'kill' ? call : 'stop'))).toEqual(expected)
  })

  it('does not treat another signal as an echo', async () => {
    const { calls, handling } = watch({ forwarders: 1, groupReceived: () => Promise.resolve(true) })
    process.emit('SIGINT', 'SIGINT')
    process.emit('SIGTERM', 'SIGTERM')
    await handling.forced
    expect(calls).toEqual([stop('SIGINT'), 'kill'])
    expect(handling.forcedExitCode()).toBe(143)
  })

  it('removes its handlers', () => {
    const before = process.listenerCount('SIGINT')
    watch()
    expect(process.listenerCount('SIGINT')).toBe(before + 1)
    dispose()
    expect(process.listenerCount('SIGINT')).toBe(before)
  })
})

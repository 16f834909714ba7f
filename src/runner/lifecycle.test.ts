import { setImmediate as immediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { probeLog } from '../../test/rig/adapters/nats-client.ts'
import { runLifecycle, type LifecycleOptions } from './lifecycle.ts'

/** Starts a lifecycle whose signals and uncaught errors come from the test, and records all events in order. */
function start(options: Partial<LifecycleOptions> = {}) {
  const log = probeLog()
  const events: string[] = []
  let onSignal = (_signal: NodeJS.Signals): void => {}
  let onUncaught = (_error: unknown): void => {}
  const finished = runLifecycle(
    { logger: log.logger, processes: {}, closers: {}, closerTimeoutMs: 1000, ...options },
    {
      onSignal: (listener) => (onSignal = listener),
      onUncaught: (listener) => (onUncaught = listener),
      die: (signal) => events.push(`died by ${signal}`),
    },
  )
  return {
    log,
    events,
    finished,
    /** Resolves when the processes have started. */
    signal: async (name: NodeJS.Signals): Promise<void> => {
      await immediate()
      onSignal(name)
    },
    uncaught: (error: unknown) => onUncaught(error),
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

const never = () => new Promise<never>(() => {})

describe('the lifecycle', () => {
  test('R-1 R-2 runs all processes concurrently until a signal; the exit code is 0', async () => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      let running = 0
      let meet = (): void => {}
      const all = new Promise<void>((resolve) => (meet = resolve))
      const process = async (signal: AbortSignal): Promise<void> => {
        if (++running === 3) meet()
        await untilAborted(signal)
        running--
      }
      const { finished, signal } = start({ processes: { a: process, b: process, c: process } })
      await all
      await signal(name)
      expect(await finished).toBe(0)
      expect(running).toBe(0)
    }
  })

  test('R-2 stops all processes when one fails, logs the reason; the exit code is 1', async () => {
    let stopped = false
    const other = async (signal: AbortSignal): Promise<void> => {
      await untilAborted(signal)
      stopped = true
    }
    const { finished, log } = start({
      processes: { other, bad: () => Promise.reject(new Error('slot lost', { cause: new Error('55000') })) },
    })
    expect(await finished).toBe(1)
    expect(stopped).toBe(true)
    expect((await log.line('bad failed: slot lost: 55000')).level).toBe('error')
  })

  test('R-2 treats a process that throws synchronously as failed', async () => {
    const bad = (): Promise<void> => {
      throw new Error('at once')
    }
    const { finished, log } = start({ processes: { bad, other: untilAborted } })
    expect(await finished).toBe(1)
    expect(log.count('bad failed: at once')).toBe(1)
    expect(log.count('did not end')).toBe(0)
  })

  test('R-2 stops all processes when one ends early; the exit code is 1', async () => {
    const { finished, log } = start({ processes: { other: untilAborted, short: async () => {} } })
    expect(await finished).toBe(1)
    expect(log.count('short ended: a process must run until the service stops')).toBe(1)
  })

  test('R-2 treats an uncaught error as a failed process', async () => {
    const { finished, uncaught, log } = start({ processes: { a: untilAborted } })
    uncaught(new Error('stray'))
    expect(await finished).toBe(1)
    expect(log.count('uncaught error: stray')).toBe(1)
  })

  test('R-2 accepts the abort reason as an ending, and logs any other error while stopping', async () => {
    const { finished, signal, log } = start({
      processes: {
        polite: async (stopping) => {
          await untilAborted(stopping)
          throw stopping.reason
        },
        clumsy: async (stopping) => {
          await untilAborted(stopping)
          throw new Error('not flushed')
        },
      },
    })
    await signal('SIGTERM')
    expect(await finished).toBe(0)
    expect(log.lines.filter(({ level }) => level === 'error').map(({ msg }) => msg)).toEqual([
      'clumsy failed: not flushed',
    ])
  })

  test('R-3 runs the closers after the processes in reverse order, even if one hangs or throws', async () => {
    const closed: string[] = []
    const close = (name: string) => async () => void closed.push(name)
    const { finished, signal, log } = start({
      closerTimeoutMs: 50,
      processes: { a: async (stopping) => (await untilAborted(stopping), void closed.push('process')) },
      closers: {
        first: close('first'),
        hanging: never,
        second: close('second'),
        throwing: () => {
          throw new Error('already closed')
        },
        rejecting: () => Promise.reject(new Error('reset')),
        third: close('third'),
      },
    })
    await signal('SIGTERM')
    expect(await finished).toBe(0)
    expect(closed).toEqual(['process', 'third', 'second', 'first'])
    expect(log.count('closing throwing failed: already closed')).toBe(1)
    expect(log.count('closing rejecting failed: reset')).toBe(1)
    expect(log.count('closing hanging took longer than 0.05 s')).toBe(1)
  })

  test('R-3 runs the closers after the timeout of a process that does not end', async () => {
    const closed: string[] = []
    const { finished, signal, log } = start({
      closerTimeoutMs: 50,
      processes: { deaf: never, good: untilAborted },
      closers: { database: async () => void closed.push('database') },
    })
    await signal('SIGTERM')
    expect(await finished).toBe(0)
    expect(closed).toEqual(['database'])
    expect(log.count('deaf did not end within 0.05 s')).toBe(1)
  })

  test('R-4 ends immediately on a second signal, even a different one, regardless of hanging processes and closers', async () => {
    const { events, signal } = start({ processes: { deaf: never }, closerTimeoutMs: 60_000 })
    await signal('SIGTERM')
    expect(events).toEqual([])
    await signal('SIGINT')
    expect(events).toEqual(['died by SIGINT'])
  })

  test('R-4 does not count the stop of a failed service as the first signal', async () => {
    let release = (): void => {}
    const { events, finished, signal, log } = start({
      processes: { bad: () => Promise.reject(new Error('no')) },
      closers: { slow: () => new Promise((resolve) => (release = resolve)) },
    })
    await log.line('bad failed')
    await signal('SIGTERM')
    expect(events).toEqual([])
    release()
    expect(await finished).toBe(1)
  })

  test('starts no process when the preparation fails; the closers run and the exit code is 1', async () => {
    const happened: string[] = []
    const { finished } = start({
      prepare: () => Promise.reject(new Error('port in use')),
      processes: { a: async () => void happened.push('started') },
      closers: { a: async () => void happened.push('closed') },
    })
    expect(await finished).toBe(1)
    expect(happened).toEqual(['closed'])
  })
})

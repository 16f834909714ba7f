import { describe, expect, test } from 'vitest'
import { probeLog } from '../../test/rig/adapters/nats-client.ts'
import { StartupError, messageOf } from '../domain/errors.ts'
import { connectWithBackoff } from './startup.ts'

function target(timeoutMs: number, signal?: AbortSignal) {
  const log = probeLog()
  return {
    log,
    server: 'PostgreSQL',
    address: 'postgres://ponix:hunter2@db:5432/ponix',
    timeoutMs,
    logger: log.logger,
    signal,
  }
}

describe('the start-up', () => {
  test('R-6 retries until the server answers, and logs once that it waits', async () => {
    const t = target(60_000)
    let attempts = 0
    const answer = await connectWithBackoff(t, async () => {
      if (++attempts < 3) throw new Error('connect ECONNREFUSED')
      return 'connected'
    })
    expect([answer, attempts]).toEqual(['connected', 3])
    expect(t.log.lines.map(({ msg }) => msg)).toEqual(['waiting for PostgreSQL: connect ECONNREFUSED'])
  })

  test('R-6 reports server, address, timeout and reason in one line without the password', async () => {
    const connecting = connectWithBackoff(target(250), () =>
      Promise.reject(new Error('connection failed', { cause: new Error('ECONNREFUSED db:5432') })),
    )
    const error: unknown = await connecting.catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(StartupError)
    expect(messageOf(error)).toMatch(
      /^PostgreSQL at postgres:\/\/ponix:\*\*\*@db:5432\/ponix did not answer for 0\.25 s: connection failed: ECONNREFUSED db:5432 \(/,
    )
    expect(messageOf(error)).not.toContain('\n')
  })

  test('R-6 aborts a hanging attempt after the timeout', async () => {
    let cut = false
    const connecting = connectWithBackoff(
      target(50),
      (signal) => new Promise(() => signal.addEventListener('abort', () => (cut = true), { once: true })),
    )
    await expect(connecting).rejects.toThrow('did not answer for 0.05 s: no answer')
    expect(cut).toBe(true)
  })

  test('R-6 tries once with a timeout of zero', async () => {
    let attempts = 0
    const connecting = connectWithBackoff(target(0), async () => {
      attempts++
      throw new Error('refused')
    })
    await expect(connecting).rejects.toThrow('did not answer for 0 s: refused')
    expect(attempts).toBe(1)
  })

  test('R-6 rethrows a StartupError of the attempt immediately', async () => {
    let attempts = 0
    const connecting = connectWithBackoff(target(60_000), async () => {
      attempts++
      throw new StartupError('wal_level is replica; set it to logical')
    })
    await expect(connecting).rejects.toThrow('wal_level is replica')
    expect(attempts).toBe(1)
  })

  test('rejects with the reason of an aborted signal', async () => {
    const abort = new AbortController()
    const t = target(60_000, abort.signal)
    const connecting = connectWithBackoff(t, () => Promise.reject(new Error('refused')))
    await t.log.line('waiting for')
    abort.abort(new Error('told to stop'))
    await expect(connecting).rejects.toThrow(/told to stop|aborted/)
  })

  test('formats an error in one line: each cause once, no line breaks, no passwords, never empty', () => {
    const cause = new AggregateError([new Error('connect ECONNREFUSED ::1:4222'), new Error('x')], '')
    expect(messageOf(new Error('no\n  connection', { cause }))).toBe('no connection: connect ECONNREFUSED ::1:4222')
    expect(messageOf(new Error('a: b', { cause: new Error('b') }))).toBe('a: b')
    expect(messageOf('nats://u:p@h is away')).toBe('nats://u:***@h is away')
    expect(messageOf(undefined)).toBe('unknown error')
    expect(messageOf(new TypeError(''))).toBe('TypeError')
  })
})

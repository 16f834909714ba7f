import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ChangeSession } from './change-session.ts'
import type { Lsn } from './change.ts'
import type { ReplicationConnection } from './replication-connection.ts'
import type { Frame, StartReplication } from './replication-stream.ts'

const HOUR_MS = 3_600_000

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

/**
 * Opens a session that sends no confirmation on a timer for an hour; `keepalive` sends it frames, `confirmed` records its
 * confirmations.
 */
async function openSession() {
  const session = new ChangeSession({
    slot: 'slot',
    publication: 'publication',
    tables: [],
    from: 0n,
    onChange: () => undefined,
    confirm: { changes: 1_000_000, ms: HOUR_MS },
    limits: { items: 10, bytes: 1000 },
    shutdownTimeoutMs: 1000,
    silenceLimitMs: HOUR_MS,
    isServing: () => Promise.resolve(true),
    messages: true,
  })
  const confirmed: Lsn[] = []
  let receive: (frame: Frame) => void = () => undefined
  const connection = {
    start: async ({ onFrame }: StartReplication) => {
      receive = onFrame
      return { confirm: (lsn: Lsn) => confirmed.push(lsn), pause: () => undefined, resume: () => undefined }
    },
  }
  await session.start(connection as unknown as ReplicationConnection)
  const keepalive = (walEnd: Lsn, replyRequested: boolean): void =>
    receive({ kind: 'keepalive', walEnd, replyRequested })
  return { keepalive, confirmed }
}

describe('a keepalive', () => {
  test('C-9: is answered, immediately, only if it requests a reply', async () => {
    const { keepalive, confirmed } = await openSession()
    keepalive(100n, false)
    expect(confirmed).toEqual([])
    keepalive(200n, true)
    expect(confirmed).toEqual([200n])
  })

  test('C-9: is answered with a delay if it is repeated, unless the position has changed', async () => {
    const { keepalive, confirmed } = await openSession()
    for (let times = 0; times < 1000; times += 1) keepalive(100n, true)
    expect(confirmed).toEqual([100n])
    keepalive(200n, true)
    expect(confirmed).toEqual([100n, 200n])
    await vi.advanceTimersByTimeAsync(1000)
    expect(confirmed).toEqual([100n, 200n, 200n])
  })
})

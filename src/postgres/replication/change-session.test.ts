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

/** A session that confirms nothing by itself for an hour, the server's frames to it, and what it confirms. */
async function scene() {
  const session = new ChangeSession({
    slot: 'slot',
    publication: 'publication',
    tables: [],
    from: 0n,
    onChange: () => undefined,
    confirm: { changes: 1_000_000, ms: HOUR_MS },
    limits: { maxMessages: 10, maxBytes: 1000 },
    shutdownTimeoutMs: 1000,
    silenceLimitMs: HOUR_MS,
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

describe('keepalives', () => {
  test('C-9: one that asks is answered at once, one that does not is not', async () => {
    const { keepalive, confirmed } = await scene()
    keepalive(100n, false)
    expect(confirmed).toEqual([])
    keepalive(200n, true)
    expect(confirmed).toEqual([200n])
  })

  test('C-9: a server that asks again after each answer is answered in peace, unless there is news for it', async () => {
    const { keepalive, confirmed } = await scene()
    for (let times = 0; times < 1000; times += 1) keepalive(100n, true)
    expect(confirmed).toEqual([100n])
    keepalive(200n, true)
    expect(confirmed).toEqual([100n, 200n])
    await vi.advanceTimersByTimeAsync(1000)
    expect(confirmed).toEqual([100n, 200n, 200n])
  })
})

import type { Pool } from 'pg'
import { describe, expect, test } from 'vitest'
import { checkServer } from './slot.ts'

/** A server that says this of itself. */
function serverThatSays(row: Readonly<Record<string, unknown>>): Pick<Pool, 'query'> {
  return { query: async () => ({ rows: [row] }) } as unknown as Pick<Pool, 'query'>
}

const sound = { level: 'logical', version: 180_000, timeout: 60_000, role: 'ponix', allowed: true }

describe('checkServer', () => {
  test('C-10: without logical WAL nothing starts, and the line says how to change it', async () => {
    await expect(checkServer(serverThatSays({ ...sound, level: 'replica' }))).rejects.toMatchObject({
      code: 'wal_level',
      retryable: false,
      message: `PostgreSQL's wal_level is replica, it must be logical; run: ALTER SYSTEM SET wal_level = logical, and restart PostgreSQL`,
    })
  })

  test('C-10: what is sound is let through, with what has to be known of it', async () => {
    expect(await checkServer(serverThatSays(sound))).toEqual({ version: 180_000, walSenderTimeoutMs: 60_000 })
  })
})

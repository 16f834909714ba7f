import type { Queryable } from './publication.ts'

/** Returns the prefix that marks the heartbeats of a slot among the logical messages in the log. */
export function heartbeatPrefix(slot: string): string {
  return `ponix-cdc ${slot}`
}

/**
 * Writes a logical message into the log every `intervalMs` in which no change was read; 0 means never. It returns through the slot
 * as a transaction, which is confirmed: the slot advances, which proves that the whole path works. End it with `clearInterval`.
 */
export function startHeartbeat(
  database: Queryable,
  slot: string,
  intervalMs: number,
  session: { readonly changesRead: number },
): NodeJS.Timeout | undefined {
  if (intervalMs === 0) return undefined
  let before = session.changesRead
  return setInterval(() => {
    const isIdle = session.changesRead === before
    before = session.changesRead
    if (!isIdle) return
    // A failure is ignored here: the stream itself detects a lost server.
    database.query(`SELECT pg_logical_emit_message(true, $1, '')`, [heartbeatPrefix(slot)]).catch(() => {})
  }, intervalMs)
}

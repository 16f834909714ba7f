import type { Queryable } from './publication.ts'

/** What marks the heartbeats of a slot among the log's messages. */
export function heartbeatPrefix(slot: string): string {
  return `ponix-cdc ${slot}`
}

/**
 * Writes a sign of life into the log from time to time while nothing that is published is written. It comes back through the
 * slot as a transaction, which is confirmed: so the slot moves on, and it shows that the whole way is open.
 */
export class Heartbeat {
  readonly #timer: NodeJS.Timeout | undefined

  /** Beats every `intervalMs` until it is stopped; 0: never. */
  constructor(database: Queryable, slot: string, intervalMs: number, stream: { readonly changesRead: number }) {
    if (intervalMs === 0) return
    let before = stream.changesRead
    this.#timer = setInterval(() => {
      const isIdle = stream.changesRead === before
      before = stream.changesRead
      // A failure needs no answer here: the stream itself tells when the server is away.
      if (isIdle)
        database.query(`SELECT pg_logical_emit_message(true, $1, '')`, [heartbeatPrefix(slot)]).catch(() => {})
    }, intervalMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}

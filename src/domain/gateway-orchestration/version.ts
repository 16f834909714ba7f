/**
 * The version of a row: a position in PostgreSQL's log, not a time. The change that was committed later is newer, whatever the
 * clocks of the servers show.
 */
export type Version = Commit | ReadPoint

/** A change of a row. */
export interface Commit {
  readonly type: 'commit'
  readonly lsn: bigint
  /** Orders the changes of one transaction. */
  readonly index: number
  /** PostgreSQL's 32-bit transaction id. */
  readonly transactionId: number
}

/**
 * A point from which rows are read. They contain every commit before `lsn`, except those of the transactions in progress: a commit is
 * in the log shortly before its rows are visible to other sessions.
 */
export interface ReadPoint {
  readonly type: 'read'
  readonly lsn: bigint
  /** Transaction ids as in {@link Commit}. */
  readonly inProgress: ReadonlySet<number>
}

/** The version before every change. */
export const OLDEST: Version = { type: 'read', lsn: 0n, inProgress: new Set() }

/** Returns whether `next` is newer than `known`. A commit that a read contains is older than the read. */
export function isNewer(next: Version, known: Version): boolean {
  if (next.type === 'read') return known.type === 'read' ? next.lsn >= known.lsn : contains(next, known)
  if (known.type === 'read') return !contains(known, next)
  return next.lsn > known.lsn || (next.lsn === known.lsn && next.index > known.index)
}

function contains(read: ReadPoint, commit: Commit): boolean {
  return commit.lsn < read.lsn && !read.inProgress.has(commit.transactionId)
}

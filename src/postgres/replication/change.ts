import type { Instant } from '../../domain/instant.ts'
import type { Lsn } from './lsn.ts'
import type { Relation } from './pgoutput-messages.ts'
import type { Row } from './row.ts'

/** What was committed together. */
export interface Transaction {
  readonly xid: number
  /** Where its commit record starts: the one position that names it, also after a restart. */
  readonly commitLsn: Lsn
  readonly commitTime: Instant
  /** Of rows that were there before: the snapshot's name. Its rows have the position before the first that the slot has. */
  readonly snapshot?: string
}

export type Operation = 'insert' | 'update' | 'delete' | 'truncate'

/** One change of one row, or a table emptied. */
export interface Change {
  readonly operation: Operation
  readonly relation: Relation
  /** The row before: of a delete always, of an update when it is wanted and the replica identity carries it. */
  readonly old: Row | null
  /** The row after: of an insert and an update. */
  readonly new: Row | null
  readonly transaction: Transaction
  /** The place within the transaction, from 0, counting every change of every published table. */
  readonly index: number
}

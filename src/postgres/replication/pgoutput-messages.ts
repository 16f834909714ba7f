import type { Instant } from '../../domain/instant.ts'
import type { Lsn } from './lsn.ts'
import type { Row } from './row.ts'

/** Which columns the old row of an update or delete carries. */
export type ReplicaIdentity = 'default' | 'nothing' | 'full' | 'index'

export interface RelationColumn {
  readonly name: string
  readonly typeOid: number
  readonly typeModifier: number
  /** Part of the replica identity; with `full` every column is. */
  readonly isKey: boolean
}

/** A table as it was when the changes that follow were made. A new object whenever the server describes it anew. */
export interface Relation {
  readonly oid: number
  readonly schema: string
  readonly table: string
  readonly replicaIdentity: ReplicaIdentity
  readonly columns: readonly RelationColumn[]
}

/** What the plugin pgoutput says, protocol version 1. Times are microseconds since 1970. */
export type PgoutputMessage =
  /** `commitLsn`: where the commit record starts; known from the start, so that messages can be named before it comes. */
  | { readonly kind: 'begin'; readonly commitLsn: Lsn; readonly commitTime: Instant; readonly xid: number }
  /** `endLsn`: the end of the commit record, which is what may be confirmed. */
  | { readonly kind: 'commit'; readonly commitLsn: Lsn; readonly endLsn: Lsn; readonly commitTime: Instant }
  | { readonly kind: 'origin'; readonly lsn: Lsn; readonly name: string }
  | { readonly kind: 'relation'; readonly relation: Relation }
  | { readonly kind: 'type'; readonly oid: number; readonly schema: string; readonly name: string }
  | RowMessage
  | {
      readonly kind: 'truncate'
      readonly relations: readonly Relation[]
      readonly cascade: boolean
      readonly restartIdentity: boolean
    }
  | {
      readonly kind: 'message'
      readonly transactional: boolean
      readonly lsn: Lsn
      readonly prefix: string
      readonly content: Buffer
    }

export type RowMessage =
  | { readonly kind: 'insert'; readonly relation: Relation; readonly old: null; readonly new: Row }
  /** `old` is null when it is not wanted, or not sent: the replica identity is not full and no key column changed. */
  | { readonly kind: 'update'; readonly relation: Relation; readonly old: Row | null; readonly new: Row }
  | { readonly kind: 'delete'; readonly relation: Relation; readonly old: Row; readonly new: null }

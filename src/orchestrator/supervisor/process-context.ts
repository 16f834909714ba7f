import type { ReapEscaped } from './child/child-groups.ts'
import type { SpawnChild } from './child/child.ts'
import type { SupervisorEvent } from './events.ts'
import type { Output } from './output/output.ts'
import type { Failure } from './rules/snapshot.ts'

export type ManagedProcessEvent =
  | SupervisorEvent
  /** A property that `reconcile` reads may have changed. */
  | { readonly type: 'changed' }
  /** The process has failed permanently. */
  | ({ readonly type: 'failure' } & Failure)

export interface ProcessContext {
  readonly output: Output
  readonly spawn: SpawnChild
  /** Prefix of the run tag of every child; a slash and the number of the child follow. */
  readonly runTag: string
  /** See `GroupsContext`. */
  readonly reapEscaped: ReapEscaped
  /** True if a child of an earlier version of the process has been started. */
  readonly hasRunBefore: boolean
  readonly emit: (event: ManagedProcessEvent) => void
}

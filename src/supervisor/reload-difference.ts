import { isDeepStrictEqual } from 'node:util'
import type { ResolvedConfig } from './config/resolved.ts'

/** What another configuration would change, by name of process. */
export interface ReloadDifference {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
  readonly unchanged: readonly string[]
}

/** A process is changed if anything of its definition is, what it takes from the environment included. */
export function differenceOf(before: ResolvedConfig, after: ResolvedConfig): ReloadDifference {
  const old = new Map(before.processes.map((process) => [process.name, process]))
  const names = new Set(after.processes.map(({ name }) => name))
  const isSame = ({ name }: { name: string }) =>
    isDeepStrictEqual(
      old.get(name),
      after.processes.find((one) => one.name === name),
    )
  const both = after.processes.filter(({ name }) => old.has(name))
  return {
    added: after.processes.filter(({ name }) => !old.has(name)).map(({ name }) => name),
    removed: before.processes.filter(({ name }) => !names.has(name)).map(({ name }) => name),
    changed: both.filter((process) => !isSame(process)).map(({ name }) => name),
    unchanged: both.filter(isSame).map(({ name }) => name),
  }
}

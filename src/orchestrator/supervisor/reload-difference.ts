import { isDeepStrictEqual } from 'node:util'
import type { ResolvedConfig, ResolvedProcess } from '../config/resolved.ts'

/** What another configuration would change, by name of process. */
export interface ReloadDifference {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
  readonly unchanged: readonly string[]
}

/**
 * A process is changed if anything of its definition is, what it takes from the environment included; not if there are more
 * or fewer instances of what it depends on.
 */
export function differenceOf(before: ResolvedConfig, after: ResolvedConfig): ReloadDifference {
  const old = new Map(before.processes.map((process) => [process.name, process]))
  const names = new Set(after.processes.map(({ name }) => name))
  const groupsBefore = groupsIn(before)
  const groupsAfter = groupsIn(after)
  const isSame = (process: ResolvedProcess) => {
    const earlier = old.get(process.name)
    return earlier !== undefined && isDeepStrictEqual(byGroup(earlier, groupsBefore), byGroup(process, groupsAfter))
  }
  const both = after.processes.filter(({ name }) => old.has(name))
  return {
    added: after.processes.filter(({ name }) => !old.has(name)).map(({ name }) => name),
    removed: before.processes.filter(({ name }) => !names.has(name)).map(({ name }) => name),
    changed: both.filter((process) => !isSame(process)).map(({ name }) => name),
    unchanged: both.filter(isSame).map(({ name }) => name),
  }
}

function groupsIn({ processes }: ResolvedConfig): ReadonlyMap<string, string> {
  return new Map(processes.map(({ name, configName }) => [name, configName]))
}

/** Its definition with each dependency, however many instances it has, there once. */
function byGroup(process: ResolvedProcess, groups: ReadonlyMap<string, string>): object {
  const dependsOn = new Map(process.dependsOn.map(({ name, condition }) => [groups.get(name) ?? name, condition]))
  return { ...process, dependsOn }
}

import { isDeepStrictEqual } from 'node:util'
import type { LoadedConfig } from '../config/load.ts'
import type { ResolvedProcess } from '../config/resolved.ts'

/** A process, or equal replicas, which an engine runs from one definition. */
export interface ExportedInstances {
  /** The first one of equal replicas. */
  readonly definition: ResolvedProcess
  /** The name of the process, or those of equal replicas. */
  readonly instances: readonly string[]
  /** The name in the file for equal replicas, otherwise that of the process. */
  readonly title: string
  /** The keys that use the number of the replica, so that each replica is exported by itself. */
  readonly numberedKeys: readonly string[]
}

/**
 * Returns one entry for equal replicas of a service, and one for each other process, in the order of the file. `setsNumber`: the
 * engine sets PONIX_REPLICA in equal replicas.
 */
export function exportedInstances(
  { processes, variables }: LoadedConfig,
  { setsNumber }: { readonly setsNumber: boolean },
): readonly ExportedInstances[] {
  const pathsOf = ({ name }: ResolvedProcess) => {
    const { own, shared } = variables.get(name)?.envFiles ?? { own: [], shared: [] }
    return [...own, ...shared].map(({ path }) => path)
  }
  return groupReplicas(processes).flatMap((group): readonly ExportedInstances[] => {
    const [definition, ...others] = group
    const haveSameFiles = others.every((other) => isDeepStrictEqual(pathsOf(other), pathsOf(definition)))
    const keys = [...numberedKeys(group, { setsNumber }), ...(haveSameFiles ? [] : ['env_file'])]
    if (group.length > 1 && keys.length === 0 && definition.kind === 'service') {
      return [{ definition, instances: group.map(({ name }) => name), title: definition.configName, numberedKeys: [] }]
    }
    return group.map((one) => ({ definition: one, instances: [one.name], title: one.name, numberedKeys: keys }))
  })
}

/** The replicas of one process, or a process without replicas; at least one. */
export type Instances = readonly [ResolvedProcess, ...ResolvedProcess[]]

/** Returns the processes with the replicas of each together, in the order of the file. */
export function groupReplicas(processes: readonly ResolvedProcess[]): readonly Instances[] {
  const groups = new Map<string, [ResolvedProcess, ...ResolvedProcess[]]>()
  for (const definition of processes) {
    const group = groups.get(definition.configName)
    if (group === undefined) groups.set(definition.configName, [definition])
    else group.push(definition)
  }
  return [...groups.values()]
}

/**
 * Returns the keys of the file that use the number of the replica, so that replicas differ in more than the variable PONIX_REPLICA.
 * `log` does not count, because every engine has its own log for each instance. With `setsNumber` false, the engine does not set that
 * variable, so texts that name it for a shell count, too.
 */
export function numberedKeys(
  [first, ...others]: Instances,
  { setsNumber }: { readonly setsNumber: boolean },
): readonly string[] {
  if (others.length === 0) return []
  const compared = others.map(comparable)
  const differs = (key: string, value: unknown) => compared.some((other) => !isDeepStrictEqual(other.get(key), value))
  const names = (key: string, value: unknown) => SHELL_KEYS.has(key) && JSON.stringify(value).includes('PONIX_REPLICA')
  return [...comparable(first)]
    .filter(([key, value]) => differs(key, value) || (!setsNumber && names(key, value)))
    .map(([key]) => key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`))
}

/** The keys whose texts a shell can expand. */
const SHELL_KEYS: ReadonlySet<string> = new Set(['command', 'args', 'readinessProbe', 'livenessProbe'])

function comparable(definition: ResolvedProcess): ReadonlyMap<string, unknown> {
  const env = { ...definition.env, PONIX_REPLICA: '' }
  const values = new Map<string, unknown>(Object.entries({ ...definition, env }))
  values.delete('name')
  values.delete('log')
  return values
}

/** Returns the number of a replica, from 1, from its name. */
export function replicaNumber(name: string): number {
  return Number(name.slice(name.lastIndexOf('#') + 1))
}

import { ConfigError, nearestName } from './errors.ts'
import type { ProblemList } from './problems.ts'
import type { ProcessFile } from './schema/process.ts'

/** One process to supervise: a process of the file, or one of its replicas. */
export interface Instance {
  readonly name: string
  /** The name in the file. */
  readonly configName: string
  /** The number of the instance from 1; null if the file does not set `replicas`. */
  readonly replica: number | null
  readonly file: ProcessFile
}

/** Returns the instances of a process. They are numbered if the file sets `replicas`, even to 1, so that the count can change. */
export function instancesOf(configName: string, file: ProcessFile): readonly Instance[] {
  if (file.replicas === undefined) return [{ name: configName, configName, replica: null, file }]
  return Array.from({ length: file.replicas }, (_, index) => {
    const replica = index + 1
    return { name: `${configName}#${replica}`, configName, replica, file }
  })
}

/** The processes requested on the command line, by their names in the file or the names of their instances. */
export interface Selection {
  /** Empty means all processes that the file does not disable. */
  readonly only: readonly string[]
  readonly disable: readonly string[]
  /** The process whose exit code counts, or null. */
  readonly exitCodeFrom: string | null
  /** Processes that watch even if the file does not say so; false: no process watches. Default: as in the file. */
  readonly watch?: readonly string[] | false
}

/** The instance names of each process by its name in the file. */
type InstanceNames = ReadonlyMap<string, readonly string[]>

/** Selects the instances to run. `disabled` are the names that the file disables. Throws a ConfigError: `problems`, if there are any. */
export function select(
  instances: InstanceNames,
  disabled: ReadonlySet<string>,
  { only, disable, exitCodeFrom, watch = [] }: Selection,
  problems: ProblemList,
): ReadonlySet<string> {
  const names = [...instances.keys()]
  const expand = (requested: readonly string[]) => new Set(requested.flatMap((name) => instancesNamed(name, instances)))
  const wanted = expand(only.length > 0 ? only : names.filter((name) => !disabled.has(name)))
  const unwanted = expand(disable)
  const selected = new Set([...instances.values()].flat().filter((name) => wanted.has(name) && !unwanted.has(name)))
  const isUnwanted = (name: string) => {
    const expanded = [...expand([name])]
    return expanded.length > 0 && expanded.every((one) => unwanted.has(one))
  }
  const mistakes = [
    ...only.flatMap((name) => unknownName('--only', name, instances)),
    ...disable.flatMap((name) => unknownName('--disable', name, instances)),
    ...only.filter(isUnwanted).map((name) => `--only and --disable both name "${name}"; remove one of them`),
    ...(watch === false ? [] : watch).flatMap((name) => watchProblem(name, instances, selected)),
    ...(exitCodeFrom === null ? [] : exitCodeProblem(exitCodeFrom, instances, selected)),
  ]
  if (mistakes.length === 0 && selected.size === 0 && names.length > 0) {
    mistakes.push('every process is disabled; nothing is left to run')
  }
  if (mistakes.length === 0) return selected
  problems.throwIfAny()
  throw new ConfigError([...new Set(mistakes)].join('\n'))
}

function instancesNamed(name: string, instances: InstanceNames): readonly string[] {
  return instances.get(name) ?? ([...instances.values()].some((names) => names.includes(name)) ? [name] : [])
}

function exitCodeProblem(name: string, instances: InstanceNames, selected: ReadonlySet<string>): readonly string[] {
  const unknown = unknownName('--exit-code-from', name, instances)
  if (unknown.length > 0) return unknown
  const [first] = instancesNamed(name, instances)
  const flag = `--exit-code-from "${name}":`
  if (first !== name) return [`${flag} it has replicas; name one of them, such as "${first}"`]
  return selected.has(name) ? [] : [`${flag} this process is not selected`]
}

function watchProblem(name: string, instances: InstanceNames, selected: ReadonlySet<string>): readonly string[] {
  const named = instancesNamed(name, instances)
  if (named.length === 0) return unknownName('--watch', name, instances)
  if (!instances.has(name)) return [`--watch "${name}": all replicas watch the same files; name the process`]
  return named.some((one) => selected.has(one)) ? [] : [`--watch "${name}": this process is not selected`]
}

function unknownName(flag: string, name: string, instances: InstanceNames): readonly string[] {
  if (instancesNamed(name, instances).length > 0) return []
  const names = [...instances.keys()]
  const nearest = nearestName(name, [...new Set([...names, ...[...instances.values()].flat()])])
  const hint = nearest === null ? `the processes are ${names.join(', ')}` : `did you mean "${nearest}"?`
  return [`${flag} "${name}": there is no such process; ${hint}`]
}

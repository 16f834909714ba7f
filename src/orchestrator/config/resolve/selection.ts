import { reachable } from '../dependency-graph.ts'
import { ConfigError } from '../errors.ts'
import { nameHint } from '../nearest-name.ts'
import type { ProcessFile } from '../schema/process.ts'
import type { ProblemList } from '../source/problems.ts'

/** One process to supervise: a process of the file, or one of its replicas. */
export interface Instance {
  readonly name: string
  /** The name in the file. */
  readonly configName: string
  /** The number of the instance from 1; null if the file does not set `replicas`. */
  readonly replica: number | null
  readonly file: ProcessFile
  /** Null if the instance belongs to the run; otherwise the reason, which completes `"worker" …`. */
  readonly leftOut: string | null
}

/** Returns the names of the instances of a process. They are numbered if the file sets `replicas`, even to 1, so that the count can change. */
export function instanceNames(name: string, { replicas }: Pick<ProcessFile, 'replicas'>): readonly string[] {
  return replicas === undefined ? [name] : Array.from({ length: replicas }, (_, index) => `${name}#${index + 1}`)
}

/** The processes requested on the command line, by their names in the file or the names of their instances. */
export interface Selection {
  /** Empty means all processes that the file does not disable and whose profiles are active. */
  readonly only: readonly string[]
  /** Adds the dependencies of `only`. */
  readonly withDependencies: boolean
  readonly disable: readonly string[]
  /** The active profiles. */
  readonly profiles: readonly string[]
  /** The process whose exit code counts, or null. */
  readonly exitCodeFrom: string | null
  /** Processes that watch although the file has no `watch` for them; false: no process watches. Default: as in the file. */
  readonly watch?: readonly string[] | false
}

/** A process of the file. The values of an invalid process are those of its valid keys. */
export interface Selectable {
  readonly name: string
  /** At least one. */
  readonly instances: readonly string[]
  readonly dependsOn: readonly string[]
  readonly profiles: readonly string[]
  readonly isDisabled: boolean
}

/** The reasons that do not depend on the process. */
export const leftOutBy = {
  disable: 'was left out by --disable',
  only: 'was left out by --only',
  file: 'is disabled in the file',
} as const

/**
 * Returns for each instance why it does not belong to the run, or null. Throws a ConfigError: `problems`, if there are any, else the
 * mistakes in the selection.
 */
export function select(
  processes: readonly Selectable[],
  selection: Selection,
  problems: ProblemList,
): ReadonlyMap<string, string | null> {
  const names = new ProcessNames(processes)
  const reasons = leftOutReasons(processes, selection, names)
  const mistakes = [
    ...selection.only.flatMap((name) => names.unknown('--only', name)),
    ...selection.disable.flatMap((name) => names.unknown('--disable', name)),
    ...selection.profiles.flatMap((name) => unknownProfile(name, processes)),
    ...bothNamed(selection, names),
    ...(selection.watch === false ? [] : (selection.watch ?? [])).flatMap((name) => watchProblem(name, names, reasons)),
    ...exitCodeProblem(selection.exitCodeFrom, names, reasons),
  ]
  if (mistakes.length === 0 && processes.length > 0 && ![...reasons.values()].includes(null)) {
    const profiles = profilesOf(processes)
    const hint = profiles.length === 0 ? '' : `; the profiles for --profile are ${profiles.join(', ')}`
    mistakes.push(`every process is left out; nothing is left to run${hint}`)
  }
  if (mistakes.length === 0) return reasons
  problems.throwIfAny()
  throw new ConfigError([...new Set(mistakes)].join('\n'))
}

function leftOutReasons(
  processes: readonly Selectable[],
  { only, withDependencies, disable, profiles }: Selection,
  names: ProcessNames,
): ReadonlyMap<string, string | null> {
  const named = new Set(only.flatMap((name) => names.instancesOf(name)))
  const unwanted = new Set(disable.flatMap((name) => names.instancesOf(name)))
  const isNamed = ({ instances }: Selectable) => instances.some((instance) => named.has(instance))
  const active = new Set([...profiles, ...processes.filter(isNamed).flatMap((one) => one.profiles)])
  const mayRun = (one: Selectable) => reasonInFile(one, active) === null
  const byName = new Map(processes.map((one) => [one.name, one]))
  // A dependency that does not run is met, so its own dependencies are not needed.
  const isNeeded = (one: Selectable) => mayRun(one) && !one.instances.every((instance) => unwanted.has(instance))
  const dependenciesOf = (one: Selectable) =>
    one.dependsOn.flatMap((name) => byName.get(name) ?? []).filter((dependency) => isNeeded(dependency))
  const wanted = withDependencies ? reachable(processes.filter(isNamed), dependenciesOf) : new Set<Selectable>()
  const reasonOf = (one: Selectable, instance: string): string | null => {
    if (unwanted.has(instance)) return leftOutBy.disable
    if (only.length === 0) return reasonInFile(one, active)
    return named.has(instance) || (wanted.has(one) && !isNamed(one)) ? null : leftOutBy.only
  }
  return new Map(processes.flatMap((one) => one.instances.map((instance) => [instance, reasonOf(one, instance)])))
}

function reasonInFile({ isDisabled, profiles }: Selectable, active: ReadonlySet<string>): string | null {
  if (isDisabled) return leftOutBy.file
  if (profiles.length === 0 || profiles.some((profile) => active.has(profile))) return null
  const quoted = profiles.map((profile) => `"${profile}"`)
  const [first] = quoted
  return profiles.length === 1
    ? `belongs to the profile ${first}, which is not active`
    : `belongs to the profiles ${quoted.join(', ')}, none of which is active`
}

function bothNamed({ only, disable }: Selection, names: ProcessNames): readonly string[] {
  const unwanted = new Set(disable.flatMap((name) => names.instancesOf(name)))
  return only.flatMap((name) => {
    const instances = names.instancesOf(name)
    const isUnwanted = instances.length > 0 && instances.every((instance) => unwanted.has(instance))
    return isUnwanted ? [`--only and --disable both name "${name}"; remove one of them`] : []
  })
}

function exitCodeProblem(
  name: string | null,
  names: ProcessNames,
  reasons: ReadonlyMap<string, string | null>,
): readonly string[] {
  if (name === null) return []
  const unknown = names.unknown('--exit-code-from', name)
  if (unknown.length > 0) return unknown
  const [first] = names.instancesOf(name)
  if (first !== name) {
    return [`--exit-code-from "${name}": it has replicas; name one of them, such as "${first}"`]
  }
  const reason = reasons.get(name) ?? null
  return reason === null ? [] : [`--exit-code-from: "${name}" ${reason}`]
}

function watchProblem(
  name: string,
  names: ProcessNames,
  reasons: ReadonlyMap<string, string | null>,
): readonly string[] {
  const instances = names.instancesOf(name)
  if (instances.length === 0) return names.unknown('--watch', name)
  if (!names.isProcess(name)) return [`--watch "${name}": all replicas watch the same files; name the process`]
  const found = instances.map((instance) => reasons.get(instance) ?? null)
  return found.includes(null) ? [] : [`--watch: "${name}" ${found[0]}`]
}

function profilesOf(processes: readonly Selectable[]): readonly string[] {
  return [...new Set(processes.flatMap(({ profiles }) => profiles))]
}

function unknownProfile(name: string, processes: readonly Selectable[]): readonly string[] {
  const profiles = profilesOf(processes)
  if (profiles.includes(name)) return []
  if (profiles.length === 0) return [`--profile "${name}": no process of the file has "profiles"`]
  return [`--profile "${name}": there is no such profile; ${nameHint(name, 'the profiles are', profiles)}`]
}

/** The names of all processes and instances. */
class ProcessNames {
  readonly #instances: ReadonlyMap<string, readonly string[]>
  readonly #all: ReadonlySet<string>

  constructor(processes: readonly Selectable[]) {
    this.#instances = new Map(processes.map(({ name, instances }) => [name, instances]))
    this.#all = new Set(processes.flatMap(({ instances }) => instances))
  }

  /** Returns the instances with this name; empty if there are none. */
  instancesOf(name: string): readonly string[] {
    return this.#instances.get(name) ?? (this.#all.has(name) ? [name] : [])
  }

  /** Returns whether this is the name of a process in the file. */
  isProcess(name: string): boolean {
    return this.#instances.has(name)
  }

  unknown(flag: string, name: string): readonly string[] {
    if (this.instancesOf(name).length > 0) return []
    const names = [...this.#instances.keys()]
    const hint = nameHint(name, 'the processes are', names, new Set([...names, ...this.#all]))
    return [`${flag} "${name}": there is no such process; ${hint}`]
  }
}

import { nearestName } from './nearest-name.ts'
import type { ProcessFile } from './schema.ts'

/** What becomes one process of the engine: a process of the file, or one of its instances. */
export interface Instance {
  readonly name: string
  /** Its name in the file. */
  readonly group: string
  /** From 1 on; null if the file asks for no number of instances. */
  readonly replica: number | null
  readonly file: ProcessFile
}

/** Every instance of a process of the file. One that asks for a number of them, even for one, gets numbers: so it can grow. */
export function instancesOf(group: string, file: ProcessFile): readonly Instance[] {
  if (file.replicas === undefined) return [{ name: group, group, replica: null, file }]
  return Array.from({ length: file.replicas }, (_, index) => {
    const replica = index + 1
    return { name: `${group}#${replica}`, group, replica, file }
  })
}

/** Which processes of a file are asked for (O-3, O-4). */
export interface Selection {
  /** Empty: all. Otherwise just these, also those that the file disables. */
  readonly only: readonly string[]
  readonly disable: readonly string[]
  /** The process whose exit code counts; it must be one that runs. Null: none. */
  readonly exitCodeFrom: string | null
}

export type Selected =
  | { readonly ok: true; readonly names: ReadonlySet<string> }
  /** One line for each name that does not fit. */
  | { readonly ok: false; readonly problem: string }

/**
 * The names that run. `groups` has for each name of the file those of its instances, or itself; each of both may be asked for.
 * `disabled` are the names that the file itself disables.
 */
export function select(
  groups: ReadonlyMap<string, readonly string[]>,
  disabled: ReadonlySet<string>,
  { only, disable, exitCodeFrom }: Selection,
): Selected {
  const names = [...groups.keys()]
  const meant = (asked: readonly string[]) => new Set(asked.flatMap((name) => instancesNamed(name, groups)))
  const wanted = only.length > 0 ? meant(only) : meant(names.filter((name) => !disabled.has(name)))
  const unwanted = meant(disable)
  const selected = new Set([...groups.values()].flat().filter((name) => wanted.has(name) && !unwanted.has(name)))
  const problems = [
    ...only.flatMap((name) => unknownName('--only', name, groups) ?? []),
    ...disable.flatMap((name) => unknownName('--disable', name, groups) ?? []),
    ...only
      .filter((name) => isWithin(meant([name]), unwanted))
      .map((name) => `--only and --disable both name "${name}"; leave one of them out`),
  ]
  if (exitCodeFrom !== null) problems.push(...wrongSource(exitCodeFrom, groups, selected))
  if (problems.length > 0) return { ok: false, problem: [...new Set(problems)].join('\n') }
  if (selected.size > 0 || names.length === 0) return { ok: true, names: selected }
  return { ok: false, problem: 'every process is disabled; nothing is left to run' }
}

function instancesNamed(name: string, groups: ReadonlyMap<string, readonly string[]>): readonly string[] {
  return groups.get(name) ?? ([...groups.values()].some((instances) => instances.includes(name)) ? [name] : [])
}

function isWithin(names: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  return names.size > 0 && [...names].every((name) => others.has(name))
}

/** The code of just one process can be the orchestrator's. */
function wrongSource(
  name: string,
  groups: ReadonlyMap<string, readonly string[]>,
  selected: ReadonlySet<string>,
): readonly string[] {
  const flag = `--exit-code-from "${name}":`
  const unknown = unknownName('--exit-code-from', name, groups)
  if (unknown !== null) return [unknown]
  const [first] = instancesNamed(name, groups)
  if (first !== name) return [`${flag} it has instances; name one of them, such as "${first}"`]
  return selected.has(name) ? [] : [`${flag} this process is not to be run`]
}

function unknownName(flag: string, name: string, groups: ReadonlyMap<string, readonly string[]>): string | null {
  if (instancesNamed(name, groups).length > 0) return null
  const names = [...groups.keys()]
  const nearest = nearestName(name, [...new Set([...names, ...[...groups.values()].flat()])])
  const hint = nearest === null ? `the processes are ${names.join(', ')}` : `did you mean "${nearest}"?`
  return `${flag} "${name}": there is no such process; ${hint}`
}

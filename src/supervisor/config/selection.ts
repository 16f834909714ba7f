import { nearestName } from '../nearest-name.ts'

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

/** The names that run; `disabled` are those that the file itself disables. */
export function select(
  names: readonly string[],
  disabled: ReadonlySet<string>,
  { only, disable, exitCodeFrom }: Selection,
): Selected {
  const asked =
    only.length > 0 ? names.filter((name) => only.includes(name)) : names.filter((name) => !disabled.has(name))
  const selected = new Set(asked.filter((name) => !disable.includes(name)))
  const problems = [
    ...only.flatMap((name) => unknownName('--only', name, names) ?? []),
    ...disable.flatMap((name) => unknownName('--disable', name, names) ?? []),
    ...only
      .filter((name) => disable.includes(name))
      .map((name) => `--only and --disable both name "${name}"; leave one of them out`),
  ]
  if (exitCodeFrom !== null) {
    const unknown = unknownName('--exit-code-from', exitCodeFrom, names)
    if (unknown !== null) problems.push(unknown)
    else if (!selected.has(exitCodeFrom))
      problems.push(`--exit-code-from "${exitCodeFrom}": this process is not to be run`)
  }
  if (problems.length > 0) return { ok: false, problem: [...new Set(problems)].join('\n') }
  if (selected.size > 0 || names.length === 0) return { ok: true, names: selected }
  return { ok: false, problem: 'every process is disabled; nothing is left to run' }
}

function unknownName(flag: string, name: string, names: readonly string[]): string | null {
  if (names.includes(name)) return null
  const nearest = nearestName(name, names)
  const hint = nearest === null ? `the processes are ${names.join(', ')}` : `did you mean "${nearest}"?`
  return `${flag} "${name}": there is no such process; ${hint}`
}

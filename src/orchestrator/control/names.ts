import { RequestError } from '../config/errors.ts'
import { nameHint } from '../config/nearest-name.ts'
import { matchesPattern } from '../config/pattern.ts'

/** Selects all processes, unless a process has this name. */
const ALL = 'all'

/** Returns whether a requested name means every process that matches it, instead of one process. */
function isPattern(requested: string): boolean {
  return requested === ALL || /[*?]/.test(requested)
}

/**
 * Returns the names that one requested name selects: the process with this name, or all instances of the process of the file, or
 * else every process that matches it as a pattern: `*` is any text, `?` any character, `all` any name.
 */
export function selectNames(requested: string, names: readonly string[]): readonly string[] {
  const exact = names.filter((name) => name === requested || configNameOf(name) === requested)
  if (exact.length > 0 || !isPattern(requested)) return exact
  const pattern = requested === ALL ? '*' : requested
  return names.filter((name) => matchesPattern(pattern, name) || matchesPattern(pattern, configNameOf(name)))
}

/**
 * Returns the names that a request selects, each once. A pattern selects only the processes that `isSelectable` accepts; a name
 * always selects its process. Throws a RequestError for a request that selects nothing.
 */
export function resolveNames(
  requested: readonly string[],
  names: readonly string[],
  isSelectable: (name: string) => boolean = () => true,
): readonly string[] {
  const resolved = requested.flatMap((request) => {
    const selected = selectNames(request, names)
    if (selected.length === 0) throw new RequestError(404, describeUnknown(request, names))
    if (selected.includes(request) || !isPattern(request)) return selected
    const selectable = selected.filter(isSelectable)
    if (selectable.length > 0) return selectable
    const list = selected.join(', ')
    throw new RequestError(
      409,
      `"${request}" selects no stopped or disabled process (${list}); start them by name first`,
    )
  })
  return [...new Set(resolved)]
}

function describeUnknown(requested: string, names: readonly string[]): string {
  const intro = 'the processes are'
  if (isPattern(requested)) return `no process matches "${requested}"; ${intro} ${names.join(', ')}`
  return `unknown process "${requested}"; ${nameHint(requested, intro, names, [...names.map(configNameOf), ...names])}`
}

/** Returns the name in the file of an instance such as `worker#2`. */
function configNameOf(name: string): string {
  return name.replace(/#\d+$/, '')
}

import { interpolate } from './interpolate.ts'
import type { JsonPath } from './json-source.ts'
import type { ProblemList } from './problems.ts'
import { isSecretName, redact } from './redact.ts'

export interface Replaced {
  readonly text: string
  /** The variables that it is made of. */
  readonly names: ReadonlySet<string>
}

export interface ReplacementSurroundings {
  /** The orchestrator's own. */
  readonly environment: NodeJS.ProcessEnv
  readonly problems: ProblemList
}

/** The text at `path` with its names replaced; null if that cannot be done, which is a problem by then. */
export function replaceNames(text: string, path: JsonPath, around: ReplacementSurroundings): Replaced | null {
  const names = new Set<string>()
  const result = interpolate(text, (name) => {
    names.add(name)
    return around.environment[name]
  })
  for (const problem of result.problems) around.problems.add(path, problem)
  return result.problems.length === 0 ? { text: result.text, names } : null
}

/** For a message that says what was found; nothing of a variable that is called like a secret. */
export function showReplaced({ text, names }: Replaced): string {
  return [...names].some(isSecretName)
    ? 'a value that is not shown because it may be a secret'
    : JSON.stringify(redact(text))
}

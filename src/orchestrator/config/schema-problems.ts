import type { z } from 'zod'
import type { JsonPath } from './json-source.ts'
import type { ProblemList } from './problems.ts'

/** Adds what the schema found wrong to the list; `base` is the path of what was validated. */
export function addSchemaProblems(
  problems: ProblemList,
  issues: readonly z.core.$ZodIssue[],
  base: JsonPath = [],
): void {
  for (const issue of issues) {
    const path = [...base, ...issue.path.map((key) => (typeof key === 'number' ? key : String(key)))]
    if (issue.code === 'unrecognized_keys') {
      const messages = issue.message.split('\n')
      issue.keys.forEach((key, index) => problems.add([...path, key], messages[index] ?? 'unknown key', 'key'))
    } else if (issue.code === 'invalid_key') {
      const name = JSON.stringify(path.at(-1))
      problems.add(path, `expected ${issue.issues[0]?.message ?? issue.message}, got ${name}`, 'key')
    } else if (issue.code === 'invalid_union') {
      const branch = issue.errors.find((errors) => errors.every(isInside))
      if (branch === undefined) problems.expected(path, issue.message)
      else addSchemaProblems(problems, branch, path)
    } else if (issue.code === 'custom' && issue.params?.['statement'] === true) {
      problems.add(path, issue.message)
    } else {
      problems.expected(path, issue.message)
    }
  }
}

/** About a part of the value: what the value is as a whole is what this branch expected. */
function isInside(issue: z.core.$ZodIssue): boolean {
  return issue.path.length > 0 || issue.code === 'unrecognized_keys'
}

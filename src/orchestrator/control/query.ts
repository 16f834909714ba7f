import { RequestError } from '../config/errors.ts'
import { nameHint } from '../config/nearest-name.ts'

/** Throws a RequestError if the query of a request has a parameter that its route does not have. */
export function checkQuery(
  { method, path, query = [] }: { readonly method: string; readonly path: string; readonly query?: readonly string[] },
  given: URLSearchParams,
): void {
  const unknown = [...given.keys()].find((name) => !query.includes(name))
  if (unknown === undefined) return
  const problem = `unknown parameter ${JSON.stringify(unknown)}`
  if (query.length === 0) throw new RequestError(400, `${problem}; ${method} ${path} has no parameters in its query`)
  throw new RequestError(400, `${problem}; ${nameHint(unknown, 'expected', query)}`)
}

/** Returns the value of a parameter that is 0 or 1. Throws a RequestError for another value. */
export function flagIn(query: URLSearchParams, name: string, absent: boolean): boolean {
  const typed = query.get(name)
  if (typed === null) return absent
  if (typed !== '0' && typed !== '1') throw new RequestError(400, `${name}: expected 0 or 1`)
  return typed === '1'
}

import { RequestError } from '../config/errors.ts'
import { nameHint } from '../config/nearest-name.ts'
import type { ResolvedProcess } from '../config/resolved.ts'

/** Throws a RequestError for the first name that is not a process with the key `replicas`. */
export function checkScalable(
  names: Iterable<string>,
  processes: readonly Pick<ResolvedProcess, 'name' | 'configName'>[],
): void {
  for (const name of names) {
    const problem = problemOf(name, processes)
    if (problem !== null) throw new RequestError(problem.status, `${problem.message}; nothing was changed`)
  }
}

function problemOf(
  name: string,
  processes: readonly Pick<ResolvedProcess, 'name' | 'configName'>[],
): { readonly status: 404 | 409; readonly message: string } | null {
  const instances = processes.filter(({ configName }) => configName === name)
  if (instances.some((instance) => instance.name !== name)) return null
  if (instances.length > 0) {
    return { status: 409, message: `"${name}" has no replicas: add "replicas": 1 to "${name}" and reload` }
  }
  const instance = processes.find((one) => one.name === name)
  if (instance !== undefined) {
    return {
      status: 404,
      message: `"${name}" is one instance of "${instance.configName}"; scale "${instance.configName}"`,
    }
  }
  const configNames = new Set(processes.map(({ configName }) => configName))
  return { status: 404, message: `unknown process "${name}"; ${nameHint(name, 'the processes are', configNames)}` }
}

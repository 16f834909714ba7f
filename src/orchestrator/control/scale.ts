import { RequestError } from '../config/errors.ts'
import { nameHint } from '../config/nearest-name.ts'
import { ownCommand } from '../config/own-command.ts'
import type { ResolvedProcess } from '../config/resolved.ts'

/**
 * Throws a RequestError for the first name that is not a process with the key `replicas`. One instance of a process without the key is
 * no problem, because that is what it has.
 */
export function checkScalable(
  replicas: ReadonlyMap<string, number>,
  processes: readonly Pick<ResolvedProcess, 'name' | 'configName'>[],
): void {
  for (const [name, count] of replicas) {
    const problem = problemOf(name, count, processes)
    if (problem !== null) throw new RequestError(problem.status, `${problem.message}; nothing was changed`)
  }
}

function problemOf(
  name: string,
  count: number,
  processes: readonly Pick<ResolvedProcess, 'name' | 'configName'>[],
): { readonly status: 404 | 409; readonly message: string } | null {
  const instances = processes.filter(({ configName }) => configName === name)
  if (instances.some((instance) => instance.name !== name)) return null
  if (instances.length > 0) {
    if (count === 1) return null
    const advice = `add "replicas": ${count} to it in the file and run "${ownCommand('reload')}", which restarts it as "${name}#1"`
    return {
      status: 409,
      message: `"${name}" has no "replicas", so it runs once; to run ${count}, ${advice} and so on`,
    }
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

import { findGraphProblems } from './dependency-graph.ts'
import type { ProblemList } from './problems.ts'
import type { ResolvedProcess } from './resolved.ts'
import type { ProcessFile } from './schema/process.ts'
import type { Instance } from './selection.ts'
import { parseSocketAddress, type SocketAddress, socketAddressForm } from './socket-address.ts'
import { type InterpolationContext, interpolateOwn, showReplaced } from './variables.ts'

const defaultAddress: SocketAddress = { host: 'localhost', port: 1883 }

/**
 * Finds the address of the MQTT broker and the running process that provides it, if one does. Adds problems to the context.
 * `typed` is the address on the command line, which overrides `inFile`. An address that `isGiven` is checked even without users.
 */
export function resolveBroker(
  typed: SocketAddress | null,
  inFile: string | null,
  processes: ReadonlyMap<string, ProcessFile>,
  running: ReadonlyMap<string, readonly Instance[]>,
  context: InterpolationContext,
) {
  const providedBy = findProvider(running, context.problems)
  const hasProvider = [...processes.values()].some(isProvider)
  return {
    address: typed ?? (inFile === null ? null : resolveAddress(inFile, context)) ?? defaultAddress,
    // The address in the file belongs to the provider, even if the provider does not run.
    isGiven: typed !== null || (inFile !== null && (!hasProvider || providedBy !== null)),
    providedBy,
  }
}

/** Adds a problem if the broker depends on one of its users. */
export function checkBrokerOrder(processes: readonly ResolvedProcess[], provider: string, problems: ProblemList): void {
  const configName = processes.find(({ name }) => name === provider)?.configName ?? provider
  for (const problem of findGraphProblems(processes)) {
    if (problem.type !== 'cycle') continue
    const cycle = problem.names.join(' → ')
    const message = `process "${provider}" is the MQTT broker and depends on a process that uses the broker: ${cycle}`
    problems.add(['processes', configName, 'provides'], message, 'key')
  }
}

function isProvider({ provides }: ProcessFile): boolean {
  return provides === 'mqtt_broker'
}

function findProvider(running: ReadonlyMap<string, readonly Instance[]>, problems: ProblemList): string | null {
  const [provider, ...others] = [...running.values()].flat().filter(({ file }) => isProvider(file))
  for (const { configName } of others) {
    problems.add(['processes', configName, 'provides'], `process "${provider?.name}" already provides the MQTT broker`)
  }
  return provider?.name ?? null
}

function resolveAddress(text: string, context: InterpolationContext): SocketAddress | null {
  const at = ['mqtt_broker']
  const replaced = interpolateOwn(text, at, context)
  if (replaced === null) return null
  const address = parseSocketAddress(replaced.text)
  if (address === null) context.problems.add(at, `expected ${socketAddressForm}, got ${showReplaced(replaced)}`)
  return address
}

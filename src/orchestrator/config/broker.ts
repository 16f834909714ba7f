import { findGraphProblems } from './dependency-graph.ts'
import type { ProblemList } from './problems.ts'
import type { ResolvedProcess } from './resolved.ts'
import type { ProcessFile } from './schema.ts'
import type { Instance } from './selection.ts'
import { parseSocketAddress, type SocketAddress, socketAddressForm } from './socket-address.ts'
import { type InterpolationContext, interpolateOwn, showReplaced } from './variables.ts'

const defaultAddress: SocketAddress = { host: 'localhost', port: 1883 }

export interface BrokerSources {
  /** The address on the command line, which overrides `inFile`. */
  readonly typed: SocketAddress | null
  /** The address in the file, before interpolation. */
  readonly inFile: string | null
  readonly all: ReadonlyMap<string, ProcessFile>
  readonly running: ReadonlyMap<string, readonly Instance[]>
}

export interface BrokerResolution {
  readonly address: SocketAddress
  /** The address is checked even without users. */
  readonly isGiven: boolean
  /** The running process that is the broker. */
  readonly providedBy: string | null
}

/** Finds the address of the MQTT broker and the process that provides it. Adds problems to the context. */
export function resolveBroker(sources: BrokerSources, context: InterpolationContext): BrokerResolution {
  const { typed, inFile, all, running } = sources
  const providedBy = findProvider(running, context.problems)
  const hasProvider = [...all.values()].some(isProvider)
  return {
    address: typed ?? (inFile === null ? null : resolveAddress(inFile, context)) ?? defaultAddress,
    // The address in the file belongs to the provider, even if that does not run.
    isGiven: typed !== null || (inFile !== null && (!hasProvider || providedBy !== null)),
    providedBy,
  }
}

/** The broker must not depend on its users. */
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

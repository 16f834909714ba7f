import { basename } from 'node:path'
import { findGraphProblems } from '../dependency-graph.ts'
import type { OwnScope } from './own-scope.ts'
import type { ProblemList } from '../source/problems.ts'
import type { ExternalDependency, ResolvedProcess } from '../resolved.ts'
import type { ProcessFile } from '../schema/process.ts'
import type { Instance } from './selection.ts'
import { formatSocketAddress, parseSocketAddress, type SocketAddress, socketAddressForm } from '../socket-address.ts'
import { showReplaced } from '../variables.ts'

interface BrokerContext {
  readonly own: OwnScope
  readonly problems: ProblemList
}

/** Replaces an invalid address, so that an error in the address is not also an error of its users. */
const invalidAddress: SocketAddress = { host: 'invalid', port: 1 }

/**
 * Finds the address of the MQTT broker and the running process that provides it, if one does. Adds problems to the context.
 * `typed` is the address on the command line, which overrides `inFile`, the value of `mqtt_broker`, undefined if there is none.
 * Without both, there is no broker. An address with `isChecked` is checked even without users.
 */
export function resolveBroker(
  typed: SocketAddress | null,
  inFile: unknown,
  instances: ReadonlyMap<string, readonly Instance[]>,
  context: BrokerContext,
) {
  const provided = [...instances.values()].flat().filter(({ file }) => isProvider(file))
  const providedBy = findProvider(provided, context.problems)
  const providers = new Set(provided.map(({ configName }) => configName))
  const address = typed ?? (inFile === undefined ? null : resolveAddress(inFile, context))
  if (address === null) {
    for (const name of providers) {
      const message = 'has no effect without "mqtt_broker", the address at which this process listens'
      context.problems.add(['processes', name, 'provides'], message)
    }
  }
  // The address in the file belongs to the provider, even if the provider does not run.
  const isChecked = typed !== null || (inFile !== undefined && (providers.size === 0 || providedBy !== null))
  return { address, isChecked, providedBy }
}

/** Returns whether the process uses the broker even if none of its values contains the address. */
export function isNamedUser(command: string, { uses, shell }: ProcessFile, broker: SocketAddress | null): boolean {
  return uses === 'mqtt_broker' || (broker !== null && isBrokerCommand(command, shell))
}

/** Returns whether the program accepts `--mqtt-broker`, by its name. */
export function isBrokerCommand(command: string, shell: boolean): boolean {
  return !shell && basename(command).startsWith('commonplace-')
}

export function withBrokerFlag(args: readonly string[], broker: SocketAddress): readonly string[] {
  const hasFlag = args.some((arg) => arg === '--mqtt-broker' || arg.startsWith('--mqtt-broker='))
  return hasFlag ? args : [...args, '--mqtt-broker', formatSocketAddress(broker)]
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

/** Returns the address of the broker that a process uses, unless a process of the file provides it. */
export function separateBroker(
  { usesExternal }: Pick<ResolvedProcess, 'usesExternal'>,
  external: ExternalDependency | null,
): SocketAddress | null {
  return usesExternal && external?.providedBy === null ? external : null
}

export function isProvider({ provides }: ProcessFile): boolean {
  return provides === 'mqtt_broker'
}

function findProvider(provided: readonly Instance[], problems: ProblemList): string | null {
  const [provider, ...others] = provided.filter(({ leftOut }) => leftOut === null)
  for (const { configName } of others) {
    problems.add(['processes', configName, 'provides'], `process "${provider?.name}" already provides the MQTT broker`)
  }
  return provider?.name ?? null
}

function resolveAddress(inFile: unknown, context: BrokerContext): SocketAddress {
  const at = ['mqtt_broker']
  const replaced = typeof inFile === 'string' ? context.own.replace(inFile, at) : null
  if (replaced === null) return invalidAddress
  const address = parseSocketAddress(replaced.text)
  if (address === null) context.problems.add(at, `expected ${socketAddressForm}, got ${showReplaced(replaced)}`)
  return address ?? invalidAddress
}

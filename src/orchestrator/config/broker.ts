import { findGraphProblems } from './dependency-graph.ts'
import type { Instance } from './selection.ts'
import type { ProblemList } from './problems.ts'
import { type ReplacementSurroundings, replaceNames, showReplaced } from './variables.ts'
import type { ResolvedProcess } from './resolved.ts'
import type { ProcessFile } from './schema.ts'
import { parseSocketAddress, type SocketAddress, socketAddressForm } from './socket-address.ts'

const defaultAddress: SocketAddress = { host: 'localhost', port: 1883 }

/** What says where the MQTT broker is, and who it is. */
export interface BrokerSources {
  /** From the command line, where it takes the place of `inFile`. */
  readonly typed: SocketAddress | null
  /** Before interpolation. */
  readonly inFile: string | null
  readonly all: ReadonlyMap<string, ProcessFile>
  readonly running: ReadonlyMap<string, readonly Instance[]>
}

export interface BrokerResolution {
  readonly address: SocketAddress
  /** Somebody wants it to be there, whether a process uses it or not. */
  readonly isGiven: boolean
  /** The running process that is the broker. */
  readonly providedBy: string | null
}

/** Where the MQTT broker is (O-30). What cannot be goes to the problems. */
export function resolveBroker(sources: BrokerSources, around: ReplacementSurroundings): BrokerResolution {
  const { typed, inFile, all, running } = sources
  const providedBy = findProvider(running, around.problems)
  const provider = [...all.values()].some(isProvider)
  return {
    address: typed ?? (inFile === null ? null : resolveAddress(inFile, around)) ?? defaultAddress,
    // An address that the file gives to a process which is not to run is nobody's.
    isGiven: typed !== null || (inFile !== null && (!provider || providedBy !== null)),
    providedBy,
  }
}

/** The broker waits for nobody who waits for the broker. */
export function checkBrokerOrder(processes: readonly ResolvedProcess[], provider: string, problems: ProblemList): void {
  const group = processes.find(({ name }) => name === provider)?.group ?? provider
  for (const problem of findGraphProblems(processes)) {
    if (problem.type !== 'cycle') continue
    const cycle = problem.cycle.join(' → ')
    const message = `process "${provider}" is the MQTT broker, and waits for a process that uses the broker: ${cycle}`
    problems.add(['processes', group, 'provides'], message, 'key')
  }
}

function isProvider({ provides }: ProcessFile): boolean {
  return provides === 'mqtt_broker'
}

function findProvider(running: ReadonlyMap<string, readonly Instance[]>, problems: ProblemList): string | null {
  const [provider, ...others] = [...running.values()].flat().filter(({ file }) => isProvider(file))
  for (const { group } of others) {
    problems.add(['processes', group, 'provides'], `process "${provider?.name}" provides the MQTT broker already`)
  }
  return provider?.name ?? null
}

function resolveAddress(text: string, around: ReplacementSurroundings): SocketAddress | null {
  const at = ['mqtt_broker']
  const replaced = replaceNames(text, at, around)
  if (replaced === null) return null
  const address = parseSocketAddress(replaced.text)
  if (address === null) {
    around.problems.add(at, `expected ${socketAddressForm}, got ${showReplaced(replaced)}`)
  }
  return address
}

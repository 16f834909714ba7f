import type { Gateway } from '../entities.ts'
import { GatewayConfigError } from '../errors.ts'
import type { Instant } from '../instant.ts'
import { type Decision, decide, type Known, type GatewayEvent, gatewayIdOf } from './decision.ts'
import { GatewayProcess, type GatewayProcessEvent, type GatewayRunner, type RetryPolicy } from './gateway-process.ts'

export interface GatewayOrchestratorOptions {
  readonly store: GatewayProcessStore
  /** The runner for a gateway type; null if there is none. */
  readonly runnerFor: (gatewayType: string) => GatewayRunner | null
  readonly retry: RetryPolicy
  readonly stopTimeoutMs: number
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly nowMs: () => number
  readonly onEvent: (gateway: Gateway, event: GatewayProcessEvent) => void
}

/** How many removed gateways are remembered, so that a late event does not bring one back. */
const REMOVED_LIMIT = 100_000

/** Keeps one process running for each gateway that is not deleted, and follows what happens to them (G-1 to G-5). */
export class GatewayOrchestrator {
  readonly #options: GatewayOrchestratorOptions
  readonly #removed = new Map<string, Instant>()
  /** The last piece of work asked for, by gateway: events of one gateway are handled one after the other. */
  readonly #tails = new Map<string, Promise<void>>()
  #stopped = false

  constructor(options: GatewayOrchestratorOptions) {
    this.#options = options
  }

  /** Starts a process for each gateway; one that fails to start does not stop the others. */
  async start(gateways: AsyncIterable<Gateway> | Iterable<Gateway>): Promise<void> {
    for await (const gateway of gateways) await this.handle({ type: 'created', gateway })
  }

  /** Resolves when the event has taken effect. Events of one gateway take effect in the order of the calls. */
  handle(event: GatewayEvent): Promise<void> {
    const id = gatewayIdOf(event)
    const done = (this.#tails.get(id) ?? Promise.resolve()).then(() => this.#apply(id, event))
    const settle = async (): Promise<void> => {
      await done.catch(() => undefined)
      if (this.#tails.get(id) === tail) this.#tails.delete(id)
    }
    const tail = settle()
    this.#tails.set(id, tail)
    return done
  }

  /** Stops all processes at the same time; nothing starts afterwards. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#tails.values())
    await Promise.all(this.#options.store.list().map((process) => process.stop(this.#options.stopTimeoutMs)))
  }

  async #apply(id: string, event: GatewayEvent): Promise<void> {
    if (this.#stopped) throw new Error('the gateway orchestrator is stopping')
    const decision = decide(this.#known(id), event)
    await this.#carryOut(id, decision)
  }

  async #carryOut(id: string, decision: Decision): Promise<void> {
    switch (decision.type) {
      case 'ignore':
        return
      case 'keep':
        this.#options.store.get(id)?.refresh(decision.gateway)
        return
      case 'remove':
        this.#rememberRemoved(id, decision.version)
        await this.#stopProcess(id)
        return
      case 'start':
      case 'restart':
        await this.#stopProcess(id)
        if (!this.#stopped) this.#startProcess(decision.gateway)
    }
  }

  #known(id: string): Known {
    const process = this.#options.store.get(id)
    if (process) return { type: 'running', fingerprint: process.fingerprint, version: process.gateway.updatedAt }
    const version = this.#removed.get(id)
    return version === undefined ? { type: 'unknown' } : { type: 'removed', version }
  }

  #startProcess(gateway: Gateway): void {
    this.#removed.delete(gateway.gatewayId)
    const { store, retry, sleep, nowMs, onEvent, runnerFor } = this.#options
    const runner = runnerFor(gateway.gatewayType) ?? refuse
    store.upsert(gateway.gatewayId, new GatewayProcess(gateway, { runner, retry, sleep, nowMs, onEvent }))
  }

  async #stopProcess(id: string): Promise<void> {
    const process = this.#options.store.get(id)
    if (!process) return
    await process.stop(this.#options.stopTimeoutMs)
    this.#options.store.remove(id)
  }

  #rememberRemoved(id: string, version: Instant): void {
    this.#removed.delete(id)
    this.#removed.set(id, version)
    const oldest = this.#removed.keys().next()
    if (this.#removed.size > REMOVED_LIMIT && !oldest.done) this.#removed.delete(oldest.value)
  }
}

const refuse: GatewayRunner = ({ gateway }) =>
  Promise.reject(
    new GatewayConfigError(`no runner for gateway type "${gateway.gatewayType}"; known types are print, mqtt and emqx`),
  )

/** The processes that run, by gateway (G-7). */
export interface GatewayProcessStore {
  upsert(gatewayId: string, process: GatewayProcess): void
  get(gatewayId: string): GatewayProcess | undefined
  remove(gatewayId: string): void
  list(): readonly GatewayProcess[]
  exists(gatewayId: string): boolean
  count(): number
}

export class MemoryGatewayProcessStore implements GatewayProcessStore {
  readonly #processes = new Map<string, GatewayProcess>()

  upsert(gatewayId: string, process: GatewayProcess): void {
    this.#processes.set(gatewayId, process)
  }

  get(gatewayId: string): GatewayProcess | undefined {
    return this.#processes.get(gatewayId)
  }

  remove(gatewayId: string): void {
    this.#processes.delete(gatewayId)
  }

  list(): readonly GatewayProcess[] {
    return [...this.#processes.values()]
  }

  exists(gatewayId: string): boolean {
    return this.#processes.has(gatewayId)
  }

  count(): number {
    return this.#processes.size
  }
}

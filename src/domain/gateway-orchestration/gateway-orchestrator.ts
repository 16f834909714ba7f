import type { Gateway } from '../entities.ts'
import { GatewayConfigError } from '../errors.ts'
import { evictOldest } from '../fifo.ts'
import type { Instant } from '../instant.ts'
import { decide, type Decision, type GatewayEvent, type Known } from './decision.ts'
import { GatewayProcess, type GatewayProcessContext, type GatewayRunner } from './gateway-process.ts'

/** The gateway processes by gateway id. */
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

export interface GatewayOrchestratorOptions extends GatewayProcessContext {
  readonly store: GatewayProcessStore
  /** Gateway type in lower case → runner. */
  readonly runners: ReadonlyMap<string, GatewayRunner>
  readonly stopTimeoutMs: number
}

/** Number of removed gateways whose versions are kept, so that a late event does not restart them. */
const REMOVED_LIMIT = 100_000

/** Keeps one process running for each gateway that is not deleted, and applies changes. */
export class GatewayOrchestrator {
  readonly #options: GatewayOrchestratorOptions
  readonly #removed = new Map<string, Instant>()
  /** The last task per gateway: events of one gateway are handled one after the other. */
  readonly #tails = new Map<string, Promise<void>>()
  #stopped = false

  constructor(options: GatewayOrchestratorOptions) {
    this.#options = options
  }

  /** Starts a process for each gateway; a failed start does not affect other gateways. */
  async start(gateways: AsyncIterable<Gateway> | Iterable<Gateway>): Promise<void> {
    for await (const gateway of gateways) await this.handle({ type: 'created', gateway })
  }

  /** Applies an event; resolves when it is applied. Events of one gateway are applied in the order of the calls. */
  handle(event: GatewayEvent): Promise<void> {
    const id = event.type === 'deleted' ? event.gatewayId : event.gateway.gatewayId
    const done = (this.#tails.get(id) ?? Promise.resolve()).then(() => this.#apply(id, event))
    const settle = async (): Promise<void> => {
      await done.catch(() => undefined)
      if (this.#tails.get(id) === tail) this.#tails.delete(id)
    }
    const tail = settle()
    this.#tails.set(id, tail)
    return done
  }

  /** Stops all processes concurrently; no process starts afterwards. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#tails.values())
    await Promise.all(this.#options.store.list().map((process) => process.stop(this.#options.stopTimeoutMs)))
  }

  async #apply(id: string, event: GatewayEvent): Promise<void> {
    if (this.#stopped) throw new Error('the gateway orchestrator is stopping')
    await this.#execute(id, decide(this.#known(id), event))
  }

  async #execute(id: string, decision: Decision): Promise<void> {
    switch (decision.type) {
      case 'ignore':
        return
      case 'keep':
        return this.#options.store.get(id)?.refresh(decision.gateway)
      case 'remove':
        this.#removed.delete(id)
        this.#removed.set(id, decision.version)
        evictOldest(this.#removed, REMOVED_LIMIT)
        return await this.#stopProcess(id)
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
    const { store, runners } = this.#options
    const runner = runners.get(gateway.gatewayType.toLowerCase()) ?? rejectUnknownType([...runners.keys()])
    store.upsert(gateway.gatewayId, new GatewayProcess(gateway, runner, this.#options))
  }

  async #stopProcess(id: string): Promise<void> {
    const process = this.#options.store.get(id)
    if (!process) return
    await process.stop(this.#options.stopTimeoutMs)
    this.#options.store.remove(id)
  }
}

function rejectUnknownType(known: readonly string[]): GatewayRunner {
  return ({ gateway }) =>
    Promise.reject(
      new GatewayConfigError(
        `no runner for gateway type "${gateway.gatewayType}"; expected one of ${known.join(', ')}`,
      ),
    )
}

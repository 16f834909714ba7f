import type { Gateway } from '../entities.ts'
import { GatewayConfigError } from '../errors.ts'
import type { GatewayTable } from '../ports.ts'
import { DesiredGateways, type GatewayEvent } from './desired-gateways.ts'
import { GatewayProcess, type GatewayProcessContext, type GatewayRunner } from './gateway-process.ts'
import { reconcile } from './reconcile.ts'

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
  /** Resolves in a later turn of the event loop. */
  readonly nextTurn: () => Promise<void>
}

/** The number of gateways that start in one turn of the event loop, so that many of them do not delay the renewal of leases. */
const TURN_SIZE = 50

/**
 * Keeps one process running for each gateway that is not deleted and that this instance owns. It is level-triggered: an event changes the desired gateways, and
 * the processes of the changed gateways are then reconciled with them. States that the newest event replaces meanwhile are skipped.
 */
export class GatewayOrchestrator {
  readonly #options: GatewayOrchestratorOptions
  readonly #desired = new DesiredGateways()
  /** The last reconciliation per gateway: those of one gateway run one after the other. */
  readonly #tails = new Map<string, Promise<void>>()
  #stopped = false

  constructor(options: GatewayOrchestratorOptions) {
    this.#options = options
  }

  /**
   * Reads the rows of the table whose versions differ from the desired gateways, at first all of them. Resolves with the number of
   * changed gateways when their processes correspond to the rows; a failed start does not affect other gateways.
   */
  async synchronize(table: GatewayTable, signal: AbortSignal): Promise<number> {
    const version = await table.readPoint({ signal })
    const found = new Set<string>()
    let changed = 0
    for await (const page of table.versions({ signal })) {
      for (const { gatewayId } of page) found.add(gatewayId)
      const differing = page.filter(({ gatewayId, updatedAt }) => this.#desired.get(gatewayId)?.updatedAt !== updatedAt)
      const gateways = await table.getAll(
        differing.map(({ gatewayId }) => gatewayId),
        { signal },
      )
      const counts = await Promise.all(gateways.map((gateway) => this.handle({ type: 'stored', gateway, version })))
      changed += counts.reduce((sum, count) => sum + count, 0)
    }
    return changed + (await this.handle({ type: 'remaining', gatewayIds: found, version }))
  }

  /** Applies an event. Resolves with the number of gateways that it changed when their processes correspond to them. */
  async handle(event: GatewayEvent): Promise<number> {
    if (this.#stopped) throw new Error('the gateway orchestrator is stopping')
    const changed = this.#desired.apply(event)
    await Promise.all(changed.map((id) => this.#reconcileInTurn(id)))
    return changed.length
  }

  /** Reconciles gateways after a change of `owns` or `holds`. Resolves when their processes correspond to it. */
  async reconcileWhere(isAffected: (gatewayId: string) => boolean): Promise<void> {
    const { store, owns, holds, nextTurn } = this.#options
    for (const process of store.list()) {
      const { gatewayId } = process.gateway
      if (isAffected(gatewayId) && !holds(gatewayId)) process.forfeit()
    }
    const affected = this.#desired.ids().filter(isAffected)
    const reconciled = affected.filter((id) => !owns(id)).map((id) => this.#reconcileInTurn(id))
    for (const [index, id] of affected.filter((each) => owns(each)).entries()) {
      if (index % TURN_SIZE === TURN_SIZE - 1) await nextTurn()
      reconciled.push(this.#reconcileInTurn(id))
    }
    await Promise.all(reconciled)
  }

  /** Returns the gateways that should run, also those of other instances. */
  desired(): Iterable<Gateway> {
    return this.#desired.all()
  }

  /** Stops all processes concurrently; no process starts afterwards. */
  async stop(): Promise<void> {
    this.#stopped = true
    const { store, stopTimeoutMs } = this.#options
    await Promise.all([...this.#tails.values(), ...store.list().map((process) => process.stop(stopTimeoutMs))])
  }

  #reconcileInTurn(id: string): Promise<void> {
    const done = (this.#tails.get(id) ?? Promise.resolve())
      .then(() => this.#reconcile(id))
      .finally(() => {
        if (this.#tails.get(id) === done) this.#tails.delete(id)
      })
    this.#tails.set(id, done)
    return done
  }

  async #reconcile(id: string): Promise<void> {
    if (this.#stopped) return
    const { store, stopTimeoutMs, onChange } = this.#options
    const desired = this.#options.owns(id) ? this.#desired.get(id) : null
    const process = store.get(id)
    const action = reconcile(desired, process ?? null)
    if (action === 'stop' || action === 'restart') {
      await process?.stop(stopTimeoutMs, this.#options.owns(id) ? desired : undefined)
      store.remove(id)
      onChange(id)
      // The desired gateway, or its owner, may have changed meanwhile.
      return await this.#reconcile(id)
    }
    if (desired === null) return
    if (action === 'start') this.#startProcess(desired)
    if (action === 'refresh') process?.refresh(desired)
  }

  #startProcess(gateway: Gateway): void {
    const { store, runners } = this.#options
    const runner = runners.get(gateway.gatewayType.toLowerCase()) ?? rejectUnknownType([...runners.keys()])
    store.upsert(gateway.gatewayId, new GatewayProcess(gateway, runner, this.#options))
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

import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Gateway } from '../entities.ts'
import type { GatewayTable } from '../ports.ts'
import { type GatewayEvent } from './desired-gateways.ts'
import { GatewayOrchestrator, MemoryGatewayProcessStore } from './gateway-orchestrator.ts'
import type { GatewayRun } from './gateway-process.ts'
import { shardOf } from './shards.ts'

const IDS = ['a', 'b', 'c', 'd', 'e', 'f']
const SHARDS = 4
const INSTANCES = 3

/** A change of the table, or something that happens to the instances. */
type Step =
  | { readonly type: 'store' | 'soft_delete' | 'delete'; readonly id: string; readonly config: number }
  | { readonly type: 'truncate' }
  | { readonly type: 'deliver'; readonly instance: number; readonly event: number }
  | { readonly type: 'resync' | 'restart'; readonly instance: number }
  | { readonly type: 'lose'; readonly shard: number }
  | { readonly type: 'acquire'; readonly shard: number; readonly instance: number }

const id = fc.constantFrom(...IDS)
const instance = fc.nat({ max: INSTANCES - 1 })
const shard = fc.nat({ max: SHARDS - 1 })
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constantFrom('store' as const, 'store' as const, 'soft_delete' as const, 'delete' as const),
        id,
        config: fc.nat({ max: 2 }),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ type: 'truncate' as const }) },
    { weight: 12, arbitrary: fc.record({ type: fc.constant('deliver' as const), instance, event: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('resync' as const, 'restart' as const), instance }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('lose' as const), shard }) },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('acquire' as const), shard, instance }) },
  ),
  { maxLength: 60 },
)

/** The table, the log of its changes, the leases, and the runners of all instances. */
class Simulation {
  readonly #log: GatewayEvent[] = []
  readonly rows = new Map<string, Gateway>()
  /** The instance that holds the lease of each shard. */
  readonly #owners = new Map<number, number>()
  readonly #instances = Array.from({ length: INSTANCES }, (_, number) => this.#start(number))
  readonly #running = new Set<GatewayRun>()
  readonly violations: string[] = []
  readonly #pending: Promise<unknown>[] = []

  #start(number: number): GatewayOrchestrator {
    const owns = (gatewayId: string): boolean => this.#owners.get(shardOf(gatewayId, SHARDS)) === number
    return new GatewayOrchestrator({
      store: new MemoryGatewayProcessStore(),
      runners: new Map([['fake', (run: GatewayRun) => this.#run(run)]]),
      retry: { delayMs: 0, maxAttempts: 3, stopsWhenFailing: false },
      stopTimeoutMs: 60_000,
      nextTurn: () => Promise.resolve(),
      sleep: (_ms, signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error()))),
      nowMs: () => 0,
      random: () => 0,
      owns,
      holds: owns,
      onEvent: () => undefined,
      onChange: () => undefined,
    })
  }

  async #run(run: GatewayRun): Promise<void> {
    const { gatewayId } = run.gateway
    const others = [...this.#running].filter((other) => other.gateway.gatewayId === gatewayId)
    if (others.length > 0) this.violations.push(`two runners of ${gatewayId}`)
    this.#running.add(run)
    await new Promise<void>((resolve) => run.signal.addEventListener('abort', () => resolve(), { once: true }))
    this.#running.delete(run)
  }

  async take(step: Step): Promise<void> {
    switch (step.type) {
      case 'store':
      case 'soft_delete':
        return this.#store(step.id, step.config, step.type === 'soft_delete')
      case 'delete':
        this.rows.delete(step.id)
        return this.#append((version) => ({ type: 'deleted', gatewayId: step.id, version }))
      case 'truncate':
        this.rows.clear()
        return this.#append((version) => ({ type: 'remaining', gatewayIds: new Set(), version }))
      case 'deliver': {
        const event = this.#log[step.event % Math.max(1, this.#log.length)]
        if (event !== undefined) this.#pending.push(this.#of(step.instance).handle(event))
        return
      }
      case 'resync':
        return void (await this.#of(step.instance).synchronize(this.#table(), new AbortController().signal))
      case 'restart':
        await this.#of(step.instance).stop()
        this.#instances[step.instance] = this.#start(step.instance)
        return void (await this.#of(step.instance).synchronize(this.#table(), new AbortController().signal))
      case 'lose':
        return await this.#assign(step.shard, undefined)
      case 'acquire':
        return await this.#assign(step.shard, step.instance)
    }
  }

  /** Delivers every event to every instance, newest first, and assigns every shard. */
  async settle(): Promise<void> {
    for (const number of this.#instances.keys()) {
      for (const event of this.#log.toReversed()) this.#pending.push(this.#of(number).handle(event))
    }
    for (let number = 0; number < SHARDS; number += 1) {
      await this.#assign(number, this.#owners.get(number) ?? number % INSTANCES)
    }
    await Promise.all(this.#pending.splice(0))
    await new Promise((resolve) => setImmediate(resolve))
  }

  running(): readonly string[] {
    return [...this.#running].map(({ gateway }) => describeGateway(gateway)).sort()
  }

  async end(): Promise<void> {
    await Promise.all(this.#instances.map((orchestrator) => orchestrator.stop()))
  }

  #of(number: number): GatewayOrchestrator {
    const orchestrator = this.#instances[number]
    if (orchestrator === undefined) throw new Error(`no instance ${number}`)
    return orchestrator
  }

  /** The instance that had the lease stops the runners before another instance gets it. */
  async #assign(moved: number, owner: number | undefined): Promise<void> {
    const isAffected = (gatewayId: string): boolean => shardOf(gatewayId, SHARDS) === moved
    const before = this.#owners.get(moved)
    this.#owners.delete(moved)
    if (before !== undefined) await this.#of(before).reconcileWhere(isAffected)
    if (owner === undefined) return
    this.#owners.set(moved, owner)
    this.#pending.push(this.#of(owner).reconcileWhere(isAffected))
  }

  #store(gatewayId: string, config: number, isDeleted: boolean): void {
    const gateway: Gateway = {
      gatewayId,
      organizationId: 'o',
      name: '',
      gatewayType: 'fake',
      gatewayConfig: { config },
      status: 'active',
      createdAt: 0n,
      updatedAt: BigInt(this.#log.length + 1),
      deletedAt: isDeleted ? 1n : null,
    }
    if (isDeleted) this.rows.delete(gatewayId)
    else this.rows.set(gatewayId, gateway)
    this.#append((version) => ({ type: 'stored', gateway, version }))
  }

  #append(event: (version: GatewayEvent['version']) => GatewayEvent): void {
    const lsn = this.#log.length
    this.#log.push(event({ type: 'commit', lsn: BigInt(lsn), index: 0, transactionId: lsn }))
  }

  #table(): GatewayTable {
    const [lsn, rows] = [BigInt(this.#log.length), new Map(this.rows)]
    return {
      readPoint: async () => ({ type: 'read', lsn, inProgress: new Set() }),
      async *versions() {
        yield [...rows.values()]
      },
      getAll: async (ids) => ids.flatMap((gatewayId) => rows.get(gatewayId) ?? []),
    }
  }
}

function describeGateway({ gatewayId, gatewayConfig }: Gateway): string {
  return `${gatewayId} ${JSON.stringify(gatewayConfig)}`
}

it('G-5, G-13: whatever order changes, deliveries, restarts and losses of leases have, each row ends with one runner', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const simulation = new Simulation()
      for (const step of sequence) await simulation.take(step)
      await simulation.settle()
      expect(simulation.violations).toEqual([])
      expect(simulation.running()).toEqual([...simulation.rows.values()].map(describeGateway).sort())
      await simulation.end()
      expect(simulation.running()).toEqual([])
    }),
    { numRuns: 300 },
  )
})

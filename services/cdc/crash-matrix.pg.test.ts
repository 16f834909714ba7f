import { setTimeout as sleep } from 'node:timers/promises'
import type { StreamConfig } from '@nats-io/jetstream'
import { expect, test, vi } from 'vitest'
import { readSlotStatus, requestSnapshot } from '../../src/postgres/replication/slot-administration.ts'
import { CdcOracle } from '../../test/rig/services/cdc-oracle.ts'
import { CdcFixture } from '../../test/rig/services/cdc-rig.ts'
import { CdcWorkload } from '../../test/rig/services/cdc-workload.ts'
import { type AckFault, FaultyNats } from '../../test/rig/adapters/faulty-nats.ts'
import { Random } from '../../test/rig/services/random.ts'

/** The number of kills; thousands take hours. PONIX_CDC_CRASH_SEED repeats the kills of a run. */
const KILLS = Number(process.env['PONIX_CDC_CRASHES'] ?? '12')
const SEED = Number(process.env['PONIX_CDC_CRASH_SEED'] ?? Date.now() % 2 ** 31)
const MS_PER_KILL = 20_000
/**
 * The number of kills between two runs without kills, because the lag of a service that is killed repeatedly would grow without
 * limit.
 */
const RUNS_PER_CATCH_UP = 8
const RUNS_PER_SNAPSHOT = 5
/** The time limit of a run, more than a start takes without a snapshot. */
const MAX_MS_TO_STREAM = 3000
const WAIT = { timeout: 30_000, interval: 50 }

const crashPoint = new URL('../../test/rig/services/crash-point.mjs', import.meta.url).href
const fixture = new CdcFixture()
const random = new Random(SEED)

/** The approximate number of steps of a start, and the maximum after that, distributed logarithmically. */
const STEPS_TO_STREAM = 500
const MAX_STEPS_OF_WORK = 40_000

function crashStep(): number {
  if (random.chance(0.25)) return 1 + random.below(STEPS_TO_STREAM)
  return STEPS_TO_STREAM + Math.floor(MAX_STEPS_OF_WORK ** random.next())
}

function ackFault(): AckFault {
  const at = 1 + random.below(150)
  const none: AckFault = { kind: 'none' }
  return random.pick<AckFault>(none, none, { kind: 'cut', at }, { kind: 'drop', at }, { kind: 'hold', ms: 30 })
}

/** Runs the service with a concurrent workload and kills it. Returns whether it was killed at its crash step. */
async function runAndKill(workload: CdcWorkload, proxy: FaultyNats): Promise<boolean> {
  const limits = random.chance(0.4) ? await StreamLimits.set(random.below(30)) : undefined
  // The workload makes more events than the streams have space for.
  if (limits !== undefined) await workload.run(4 + random.below(12))
  proxy.script(limits !== undefined && random.chance(0.5) ? { kind: 'trickle' } : ackFault())
  const process = fixture.launch({
    PONIX_NATS_URL: proxy.url,
    NODE_OPTIONS: `--import=${crashPoint}`,
    CRASH_AT: String(crashStep()),
  })
  const finished = new AbortController()
  const growth = limits?.grow(finished.signal)
  const died = process.outcome.then(() => true)
  const streams = process.line('streaming changes').then(
    () => false,
    () => true,
  )
  if (random.chance(0.7)) await Promise.race([died, streams, sleep(MAX_MS_TO_STREAM)])
  await workload.run(4 + random.below(12))
  // A snapshot into full streams takes longer and is killed before its end.
  await Promise.race([streams, sleep(MAX_MS_TO_STREAM)])
  const diedAtStep = await Promise.race([died, sleep(random.below(250)).then(() => false)])
  await process.kill()
  finished.abort()
  await growth
  await limits?.end()
  return diedAtStep
}

/**
 * Limits the number of messages in streams, beyond which they reject events. Set it while no program publishes, because a limit
 * below the stored number would remove messages; afterwards it only grows.
 */
class StreamLimits {
  readonly #streams: { readonly config: StreamConfig; most: number }[] = []

  static async set(more: number): Promise<StreamLimits> {
    const limits = new StreamLimits()
    for await (const { config, state } of fixture.client.manager.streams.list()) {
      const limited = { config, most: Math.max(1, state.messages + more) }
      limits.#streams.push(limited)
      await limits.#apply(limited)
    }
    return limits
  }

  /** Raises the limits by one message at a time, so that space often appears between two messages in flight. */
  async grow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(random.below(100))
      for (let times = random.below(30); times > 0; times -= 1) {
        for (const limited of this.#streams) {
          limited.most += random.below(2)
          await this.#apply(limited)
        }
      }
    }
  }

  async end(): Promise<void> {
    for (const limited of this.#streams) await this.#apply({ ...limited, most: -1 })
  }

  async #apply({ config, most }: { readonly config: StreamConfig; readonly most: number }): Promise<void> {
    await fixture.client.manager.streams.update(config.name, { ...config, max_msgs: most })
  }
}

/** Requests snapshots during the workload and tracks their completion. */
class Snapshots {
  readonly complete: string[] = []
  #pending: string | null = null

  /** Requests a snapshot, unless an earlier one is still incomplete. */
  async request(): Promise<void> {
    const { server, slot } = fixture.database
    if (this.#pending !== null) return
    // PostgreSQL needs time to detect that the instance that held the slot was killed.
    await vi.waitFor(() => requestSnapshot(server, slot), WAIT)
    await this.update()
  }

  async update(): Promise<void> {
    const { server, slot } = fixture.database
    const status = await readSlotStatus(server, slot)
    const pending = status?.snapshot?.id ?? null
    if (this.#pending !== null && pending === null) this.complete.push(this.#pending)
    this.#pending = pending
  }
}

/** Runs the service without faults until everything is stored. */
async function catchUp(workload: CdcWorkload, oracle: CdcOracle): Promise<void> {
  const process = await fixture.start()
  const { length } = await workload.committed()
  await vi.waitUntil(async () => {
    await oracle.read()
    return oracle.size >= length
  }, 60_000)
  await process.kill()
}

test(
  `C-3, C-4, C-11: cdc loses, reorders and repeats nothing when killed ${KILLS} times at any step, even during a snapshot, with acknowledgements lost, delayed and rejected (seed ${SEED})`,
  async () => {
    const { database, client } = fixture
    const first = await fixture.start()
    await first.kill()
    await using workload = await CdcWorkload.open(database.server, 3, random)
    await database.sql(`INSERT INTO organizations (id, name) SELECT 'old' || n, 'old' FROM generate_series(1, 1500) n`)
    await using proxy = await FaultyNats.start(fixture.nats.url)
    const oracle = new CdcOracle(client)
    const snapshots = new Snapshots()
    let atSteps = 0
    for (let kill = 1; kill <= KILLS; kill += 1) {
      if (kill % RUNS_PER_SNAPSHOT === 0) await snapshots.request()
      if (await runAndKill(workload, proxy)) atSteps += 1
      if (kill % RUNS_PER_CATCH_UP === 0) await catchUp(workload, oracle)
      await snapshots.update()
      const confirmed = await database.confirmed()
      await oracle.read()
      expect(oracle.confirmedOnly(confirmed, await workload.committed(), workload.committedBefore)).toEqual([])
    }
    await catchUp(workload, oracle)
    await snapshots.update()
    const committed = await workload.committed()
    expect(oracle.compare(committed)).toEqual({
      lost: [],
      invented: [],
      reordered: [],
      repeatedInWindow: [],
      removed: [],
    })
    const present = await workload.present()
    expect(['', ...snapshots.complete].flatMap((snapshot) => oracle.differences(snapshot, present))).toEqual([])
    expect(oracle.neverCommitted(committed)).toEqual([])
    expect(snapshots.complete.length).toBeGreaterThan(0)
    expect(atSteps).toBeGreaterThan(0)
    console.log(
      `seed ${SEED}: ${KILLS} kills, ${atSteps} of them at the crash step, ${committed.length} changes, ` +
        `${oracle.repeated} repeated messages, ${snapshots.complete.length} snapshots, 0 lost, 0 reordered`,
    )
  },
  60_000 + KILLS * MS_PER_KILL,
)

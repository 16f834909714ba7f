import { setTimeout as sleep } from 'node:timers/promises'
import type { StreamConfig } from '@nats-io/jetstream'
import { expect, test, vi } from 'vitest'
import { readSlotStatus, requestSnapshot } from '../../src/postgres/replication/slot-administration.ts'
import { CdcOracle } from '../../test/rig/cdc-oracle.ts'
import { CdcStage } from '../../test/rig/cdc-rig.ts'
import { CdcWorkload } from '../../test/rig/cdc-workload.ts'
import { type AckFault, FaultyNats } from '../../test/rig/faulty-nats.ts'
import { Random } from '../../test/rig/random.ts'
import { CAPTURED_TABLES } from './entities.ts'

/** How often the service is killed; thousands of times take hours. PONIX_CDC_CRASH_SEED replays a run. */
const KILLS = Number(process.env['PONIX_CDC_CRASHES'] ?? '12')
const SEED = Number(process.env['PONIX_CDC_CRASH_SEED'] ?? Date.now() % 2 ** 31)
const MS_PER_KILL = 20_000
/** Killed all the time it would fall ever farther behind. */
const LIVES_UNTIL_CALM = 8
const LIVES_UNTIL_SNAPSHOT = 5
/** A start takes less, when it has nothing to send first. */
const MOST_MS_TO_STREAM = 3000
const PUBLICATION = 'ponix_cdc_publication'
const WAIT = { timeout: 30_000, interval: 50 }

const crashPoint = new URL('../../test/rig/crash-point.mjs', import.meta.url).href
const stage = new CdcStage()
const random = new Random(SEED)

/** Steps that a start takes until it streams, roughly; and the most after that, of which a few are as likely as many. */
const STEPS_TO_STREAM = 500
const MOST_STEPS_OF_WORK = 40_000

function crashStep(): number {
  if (random.chance(0.25)) return 1 + random.below(STEPS_TO_STREAM)
  return STEPS_TO_STREAM + Math.floor(MOST_STEPS_OF_WORK ** random.next())
}

function ackFault(): AckFault {
  const at = 1 + random.below(150)
  const none: AckFault = { kind: 'none' }
  return random.pick<AckFault>(none, none, { kind: 'cut', at }, { kind: 'drop', at }, { kind: 'hold', ms: 30 })
}

/** One life of the service, with work going on until it is killed. Says whether it died at its own step. */
async function live(workload: CdcWorkload, proxy: FaultyNats): Promise<boolean> {
  const limits = random.chance(0.4) ? await StreamLimits.set(random.below(30)) : undefined
  // More at once than there is room for.
  if (limits !== undefined) await workload.run(4 + random.below(12))
  proxy.script(limits !== undefined && random.chance(0.5) ? { kind: 'trickle' } : ackFault())
  const process = stage.launch({
    PONIX_NATS_URL: proxy.url,
    NODE_OPTIONS: `--import=${crashPoint}`,
    CRASH_AT: String(crashStep()),
  })
  const over = new AbortController()
  const room = limits?.giveRoom(over.signal)
  const died = process.outcome.then(() => true)
  const streams = process.line('streaming changes').then(
    () => false,
    () => true,
  )
  if (random.chance(0.7)) await Promise.race([died, streams, sleep(MOST_MS_TO_STREAM)])
  await workload.run(4 + random.below(12))
  // A snapshot into full streams takes longer: then it is killed during that.
  await Promise.race([streams, sleep(MOST_MS_TO_STREAM)])
  const fate = await Promise.race([died, sleep(random.below(250)).then(() => false)])
  await process.kill()
  over.abort()
  await room
  await limits?.end()
  return fate
}

/**
 * How many messages streams take before they refuse what comes. To be set while nobody publishes, for a limit below what is
 * stored would remove it; from then on it only grows.
 */
class StreamLimits {
  readonly #streams: { readonly config: StreamConfig; most: number }[] = []

  static async set(more: number): Promise<StreamLimits> {
    const limits = new StreamLimits()
    for await (const { config, state } of stage.client.manager.streams.list()) {
      const limited = { config, most: Math.max(1, state.messages + more) }
      limits.#streams.push(limited)
      await limits.#apply(limited)
    }
    return limits
  }

  /** A message at a time, so that room often comes between two messages in flight. */
  async giveRoom(signal: AbortSignal): Promise<void> {
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
    await stage.client.manager.streams.update(config.name, { ...config, max_msgs: most })
  }
}

/** Snapshots that were asked for while the work went on, and have come to their end. */
class Snapshots {
  readonly complete: string[] = []
  #pending: string | null = null

  /** Does nothing while one is not complete. */
  async request(): Promise<void> {
    const { server, slot } = stage.database
    if (this.#pending !== null) return
    // PostgreSQL takes its time to see that the one that had the slot was killed.
    await vi.waitFor(() => requestSnapshot(server, { slot, publication: PUBLICATION }, CAPTURED_TABLES), WAIT)
    await this.look()
  }

  async look(): Promise<void> {
    const { server, slot } = stage.database
    const status = await readSlotStatus(server, { slot, publication: PUBLICATION })
    const pending = status?.snapshot?.id ?? null
    if (this.#pending !== null && pending === null) this.complete.push(this.#pending)
    this.#pending = pending
  }
}

/** A life without faults, until everything is stored. */
async function catchUp(workload: CdcWorkload, oracle: CdcOracle): Promise<void> {
  const calm = await stage.start()
  const { length } = await workload.committed()
  await vi.waitUntil(async () => {
    await oracle.read()
    return oracle.size >= length
  }, 60_000)
  await calm.kill()
}

test(
  `C-3, C-4, C-11: killed ${KILLS} times at any step, also of a snapshot, with acknowledgements lost, late and refused, it loses, reorders and repeats nothing (seed ${SEED})`,
  async () => {
    const { database, client } = stage
    const first = await stage.start()
    await first.kill()
    await using workload = await CdcWorkload.open(database.server, 3, random)
    await database.sql(`INSERT INTO organizations (id, name) SELECT 'old' || n, 'old' FROM generate_series(1, 1500) n`)
    await using proxy = await FaultyNats.start(stage.nats.url)
    const oracle = new CdcOracle(client)
    const snapshots = new Snapshots()
    let atSteps = 0
    for (let kill = 1; kill <= KILLS; kill += 1) {
      if (kill % LIVES_UNTIL_SNAPSHOT === 0) await snapshots.request()
      if (await live(workload, proxy)) atSteps += 1
      if (kill % LIVES_UNTIL_CALM === 0) await catchUp(workload, oracle)
      await snapshots.look()
      const confirmed = await database.confirmed()
      await oracle.read()
      expect(oracle.confirmedOnly(confirmed, await workload.committed(), workload.committedBefore)).toEqual([])
    }
    await catchUp(workload, oracle)
    await snapshots.look()
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
      `seed ${SEED}: ${KILLS} kills, ${atSteps} of them at a step of its own, ${committed.length} changes, ` +
        `${oracle.repeated} repeated messages, ${snapshots.complete.length} snapshots, 0 lost, 0 reordered`,
    )
  },
  60_000 + KILLS * MS_PER_KILL,
)

import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { CdcOracle } from '../../test/rig/cdc-oracle.ts'
import { CdcStage } from '../../test/rig/cdc-rig.ts'
import { CdcWorkload } from '../../test/rig/cdc-workload.ts'
import { type AckFault, FaultyNats } from '../../test/rig/faulty-nats.ts'
import { Random } from '../../test/rig/random.ts'

/** How often the service is killed; thousands of times take hours. PONIX_CDC_CRASH_SEED replays a run. */
const KILLS = Number(process.env['PONIX_CDC_CRASHES'] ?? '12')
const SEED = Number(process.env['PONIX_CDC_CRASH_SEED'] ?? Date.now() % 2 ** 31)
const MS_PER_KILL = 20_000
/** Killed all the time it would fall ever farther behind. */
const LIVES_UNTIL_CALM = 8

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
  proxy.script(ackFault())
  const isFull = random.chance(0.15)
  // While nobody publishes: a limit below what is stored would remove it.
  if (isFull) await limitStreams(random.below(30))
  const process = stage.launch({
    PONIX_NATS_URL: proxy.url,
    NODE_OPTIONS: `--import=${crashPoint}`,
    CRASH_AT: String(crashStep()),
  })
  const died = process.exited().then(() => true)
  const streams = process.line('streaming changes').then(
    () => false,
    () => true,
  )
  if (random.chance(0.7)) await Promise.race([died, streams])
  await workload.run(4 + random.below(12))
  await streams
  const fate = await Promise.race([died, sleep(random.below(250)).then(() => false)])
  await process.kill()
  // Not before: room that comes between two messages in flight takes the later one first, which docs/cdc.md says.
  if (isFull) await limitStreams(null)
  return fate
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

/** Streams take so many messages more and then refuse what comes; null ends that. */
async function limitStreams(more: number | null): Promise<void> {
  const { streams } = stage.client.manager
  for await (const { config, state } of streams.list()) {
    const limit = more === null ? -1 : Math.max(1, state.messages + more)
    await streams.update(config.name, { ...config, max_msgs: limit })
  }
}

test(
  `C-3, C-4: killed ${KILLS} times at any step, with acknowledgements lost, late and refused, it loses, reorders and repeats nothing (seed ${SEED})`,
  async () => {
    const { database, client } = stage
    const first = await stage.start()
    await first.kill()
    await using workload = await CdcWorkload.open(database.server, 3, random)
    await using proxy = await FaultyNats.start(stage.nats.url)
    const oracle = new CdcOracle(client)
    let atSteps = 0
    for (let kill = 1; kill <= KILLS; kill += 1) {
      if (await live(workload, proxy)) atSteps += 1
      if (kill % LIVES_UNTIL_CALM === 0) await catchUp(workload, oracle)
      const confirmed = await database.confirmed()
      await oracle.read()
      expect(oracle.confirmedOnly(confirmed, await workload.committed(), workload.committedBefore)).toEqual([])
    }
    await catchUp(workload, oracle)
    const committed = await workload.committed()
    expect(oracle.compare(committed)).toEqual({
      lost: [],
      invented: [],
      reordered: [],
      repeatedInWindow: [],
      removed: [],
    })
    expect(atSteps).toBeGreaterThan(0)
    console.log(
      `seed ${SEED}: ${KILLS} kills, ${atSteps} of them at a step of its own, ${committed.length} changes, ` +
        `${oracle.repeated} repeated messages, 0 lost, 0 reordered`,
    )
  },
  60_000 + KILLS * MS_PER_KILL,
)

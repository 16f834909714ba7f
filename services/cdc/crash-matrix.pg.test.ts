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

const crashPoint = new URL('../../test/rig/crash-point.mjs', import.meta.url).href
const stage = new CdcStage()
const random = new Random(SEED)

/** Steps that a start takes until it streams, roughly, and the steps that a round's work takes after that. */
const STEPS_TO_STREAM = 500
const STEPS_OF_WORK = 500

function crashStep(): number {
  if (random.chance(0.25)) return 1 + random.below(STEPS_TO_STREAM)
  return STEPS_TO_STREAM + random.below(STEPS_OF_WORK)
}

function ackFault(): AckFault {
  const at = 1 + random.below(150)
  const none: AckFault = { kind: 'none' }
  return random.pick<AckFault>(none, none, { kind: 'cut', at }, { kind: 'drop', at }, { kind: 'hold', ms: 30 })
}

/** One life of the service, with work going on until it is killed. Says whether it died at its own step. */
async function live(workload: CdcWorkload, proxy: FaultyNats): Promise<boolean> {
  proxy.script(ackFault())
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
  const isFull = random.chance(0.15)
  if (isFull) await limitStreams(1)
  await workload.run(4 + random.below(12))
  if (isFull) await limitStreams(-1)
  await streams
  const fate = await Promise.race([died, sleep(random.below(250)).then(() => false)])
  await process.kill()
  return fate
}

/** Full streams refuse what comes; -1 ends that. */
async function limitStreams(messages: number): Promise<void> {
  const { streams } = stage.client.manager
  for await (const { config, state } of streams.list()) {
    const limit = messages === -1 ? -1 : Math.max(messages, state.messages)
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
      const confirmed = await database.confirmed()
      await oracle.read()
      expect(oracle.confirmedOnly(confirmed, await workload.committed(), workload.committedBefore)).toEqual([])
    }
    await stage.start()
    const committed = await workload.committed()
    await vi.waitUntil(async () => {
      await oracle.read()
      return oracle.size >= committed.length
    }, 60_000)
    expect(oracle.compare(committed)).toEqual({ lost: [], invented: [], reordered: [], repeatedInWindow: [] })
    expect(atSteps).toBeGreaterThan(0)
    console.log(
      `seed ${SEED}: ${KILLS} kills, ${atSteps} of them at a step of its own, ${committed.length} changes, ` +
        `${oracle.repeated} repeated messages, 0 lost, 0 reordered`,
    )
  },
  60_000 + KILLS * MS_PER_KILL,
)

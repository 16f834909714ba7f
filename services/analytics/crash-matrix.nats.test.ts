import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { AnalyticsFleet, type FleetMember } from '../../test/rig/services/analytics-fleet.ts'
import { CRASH_POINTS } from '../../test/rig/services/crash-tap.ts'
import { EnvelopeLoad, EnvelopeOracle } from '../../test/rig/services/envelope-load.ts'
import { type Pipeline, startPipeline } from '../../test/rig/services/pipeline.ts'
import { Random } from '../../test/rig/services/random.ts'

/** The number of kills; hundreds take a quarter of an hour. PONIX_ANALYTICS_CRASH_SEED repeats the kills of a run. */
const KILLS = Number(process.env['PONIX_ANALYTICS_CRASHES'] ?? '4')
const SEED = Number(process.env['PONIX_ANALYTICS_CRASH_SEED'] ?? Date.now() % 2 ** 31)
const MS_PER_KILL = 20_000
const MOST_MEMBERS = 3
const KILLS_UNTIL_SETTLED = 20
/** Short, so that envelopes of unknown devices become dead letters during the kills. */
const UNKNOWN_DEVICE_WAIT_SECS = '1'

/** The approximate number of asynchronous steps of a start, and the maximum number of steps after it, chosen log-uniformly. */
const STEPS_TO_START = 500
const MOST_STEPS_OF_WORK = 60_000

/** So many envelopes that some of them are surplus. */
const LARGE_LOAD = 5000

const random = new Random(SEED)

type KillTarget = 'analytics' | 'all analytics' | 'clickhouse' | 'nats' | 'both servers'

/** Kills processes and servers under load. */
class Stage {
  readonly kills = new Map<string, number>()
  readonly #pipeline: Pipeline
  readonly #fleet: AnalyticsFleet
  readonly #load: EnvelopeLoad

  constructor(pipeline: Pipeline, fleet: AnalyticsFleet, load: EnvelopeLoad) {
    this.#pipeline = pipeline
    this.#fleet = fleet
    this.#load = load
  }

  get killed(): number {
    return [...this.kills.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Runs some processes under load until one of them or a server is killed; restarts the servers. */
  async killOnce(): Promise<void> {
    const size = 1 + random.below(MOST_MEMBERS)
    while (this.#fleet.members.length < size) await this.#fleet.add(random.chance(0.3) ? crashStep() : undefined)
    const members = this.#fleet.members
    const publishing = this.#load.publish(random.chance(0.3) ? LARGE_LOAD : 50 + random.below(1500))
    if (random.chance(0.8)) await Promise.all(members.map(readyOrGone))
    const member = members[random.below(members.length)]
    if (member === undefined) throw new Error('no member')
    await (random.chance(0.65) ? this.#atPoint(member) : this.#atMoment(member))
    await publishing
  }

  /** Waits without kills until every envelope is a row or a dead letter. */
  async settle(): Promise<void> {
    // The kill of a process at a crash step can still be pending.
    await Promise.all(this.#fleet.members.map((member) => member.kill()))
    for (let size = 0; size < 2; size += 1) await this.#fleet.add()
    await vi.waitFor(() => this.#requireIdle(), { timeout: 300_000, interval: 200 })
  }

  /** Throws while a message is pending or unacknowledged. */
  async #requireIdle(): Promise<void> {
    const { consumers, streams } = this.#pipeline.nats.manager
    const { messages } = (await streams.info('surplus_envelopes')).state
    if (messages > 0) throw new Error(`${messages} bundles of surplus`)
    for (const [stream, durable] of [
      ['raw_envelopes', 'analytics-raw'],
      ['deferred_envelopes', 'analytics-deferred'],
      ['processed_envelopes', 'analytics-processed'],
    ] as const) {
      const { num_pending, num_ack_pending } = await consumers.info(stream, durable)
      if (num_pending + num_ack_pending > 0)
        throw new Error(`${durable}: ${num_pending} pending, ${num_ack_pending} unacknowledged`)
    }
  }

  async #atPoint(member: FleetMember): Promise<void> {
    const [first, ...others] = CRASH_POINTS
    const point = random.pick(first, ...others)
    const target = random.pick<KillTarget>(
      'analytics',
      'analytics',
      pointsOfClickHouse.has(point) ? 'clickhouse' : 'nats',
    )
    const at = 1 + random.below(point.startsWith('insert') || /letter|deferred|surplus/.test(point) ? 4 : 300)
    let killing: Promise<void> | undefined
    const triggered = new Promise<void>((resolve) => {
      const onReached = (): void => {
        killing = this.#kill(target, member, point)
        resolve()
      }
      member.tap.script({ point, at, passes: random.chance(0.5), onReached })
    })
    await Promise.race([triggered, member.gone, sleep(2000)])
    member.tap.script(undefined)
    if (killing === undefined && member.alive) killing = this.#kill(target, member, 'any moment')
    else if (killing === undefined) this.#count('analytics at its crash step')
    await killing
  }

  async #atMoment(member: FleetMember): Promise<void> {
    const target = random.pick<KillTarget>('analytics', 'all analytics', 'clickhouse', 'nats', 'both servers')
    await Promise.race([member.gone, sleep(random.below(400))])
    if (member.alive) await this.#kill(target, member, 'any moment')
    else this.#count('analytics at its crash step')
  }

  async #kill(target: KillTarget, member: FleetMember, when: string): Promise<void> {
    const { clickhouse, nats } = this.#pipeline.servers
    const servers = { clickhouse: [clickhouse], nats: [nats], 'both servers': [clickhouse, nats] }
    const pauseMs = random.below(500)
    this.#count(`${target} at ${when}`)
    if (target === 'analytics') return member.kill()
    if (target === 'all analytics') {
      await Promise.all(this.#fleet.members.map((each) => each.kill()))
      return
    }
    await Promise.all(servers[target].map((server) => server.kill()))
    await sleep(pauseMs)
    await Promise.all(servers[target].map((server) => server.start()))
  }

  #count(what: string): void {
    this.kills.set(what, (this.kills.get(what) ?? 0) + 1)
  }
}

const pointsOfClickHouse = new Set<string>(['insert sent', 'insert acknowledged'])

function crashStep(): number {
  if (random.chance(0.25)) return 1 + random.below(STEPS_TO_START)
  return STEPS_TO_START + Math.floor(MOST_STEPS_OF_WORK ** random.next())
}

async function readyOrGone(member: FleetMember): Promise<void> {
  await member.process.line('ready').catch(() => undefined)
}

test(
  `B-3, B-4, P-9, P-10, P-12: ${KILLS} kills of analytics processes, ClickHouse and NATS under load leave exactly one row per reading or dead letter per envelope (seed ${SEED})`,
  async () => {
    const pipeline = await startPipeline()
    const load = await EnvelopeLoad.open(pipeline, random)
    const fleet = new AnalyticsFleet({
      ...pipeline.variables,
      PONIX_ANALYTICS_UNKNOWN_DEVICE_WAIT_SECS: UNKNOWN_DEVICE_WAIT_SECS,
    })
    const stage = new Stage(pipeline, fleet, load)
    const oracle = new EnvelopeOracle(pipeline, load)
    const none = { lost: [], duplicated: [], unexpected: [], misclassified: [] }
    try {
      await readyOrGone(await fleet.add())
      for (let next = KILLS_UNTIL_SETTLED; stage.killed < KILLS;) {
        await stage.killOnce()
        if (stage.killed < next) continue
        next += KILLS_UNTIL_SETTLED
        await Promise.all([load.publishOne('endless'), load.publishOne('jsEndless')])
        await stage.settle()
        expect(await oracle.compare(), `after ${stage.killed} kills`).toEqual(none)
      }
      await stage.settle()
      expect(await oracle.compare()).toEqual(none)
      // The streams have no age limit.
      expect(fleet.messages.filter((message) => message.includes('the stream dropped'))).toEqual([])
      const { state: surplus } = await pipeline.nats.manager.streams.info('surplus_envelopes')
      const kills = [...stage.kills]
        .sort(([one], [other]) => one.localeCompare(other))
        .map(([what, count]) => `  ${count} × ${what}`)
      console.log(
        `seed ${SEED}: ${stage.killed} kills, ${load.expected.size} envelopes, ${surplus.last_seq} bundles of surplus, ${await oracle.duplicateRows()} duplicate rows in the table, ` +
          `0 lost, 0 shown twice\n${kills.join('\n')}`,
      )
    } finally {
      load.close()
      await fleet[Symbol.asyncDispose]()
      await pipeline.stop()
    }
  },
  120_000 + KILLS * MS_PER_KILL,
)

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { decodeOrganization } from '../../src/proto/entities.ts'
import { type Figure, quantile } from '../report/figures.ts'
import { BenchProgram } from '../rig/program.ts'
import type { CdcBenchServers } from './servers.ts'

const PER_SECOND = 1000
const SECONDS = 10
const WARM_UP_SECONDS = 2
const WRITERS = 8
const P99_MS = 5

/** Measures M-8: the time from the return of a commit until a consumer receives the event, at 1,000 commits per second. */
export async function measureLatency(servers: CdcBenchServers): Promise<readonly Figure[]> {
  console.error(`bench: M-8, ${WARM_UP_SECONDS + SECONDS} s`)
  const service = new BenchProgram([join(servers.root, 'dist/cdc.js')], servers.environment('latency'))
  await service.logLine('streaming changes')
  const arrivals = await consume(servers)
  const writers = await Promise.all(Array.from({ length: WRITERS }, () => servers.connection()))
  const committed = await write(writers)
  while (arrivals.size < committed.size) await sleep(20)
  await Promise.all([service.stop(), ...writers.map((writer) => writer.end())])
  await servers.database.query(`SELECT pg_drop_replication_slot('latency')`)
  const steady = [...committed].filter(([id]) => Number(id.slice(1)) > WARM_UP_SECONDS * PER_SECOND)
  const times = steady.map(([id, at]) => timesOf(at, arrivals.get(id)))
  const part = (name: keyof (typeof times)[number], at: number): number =>
    quantile(
      times.map((time) => time[name]),
      at,
    )
  return [
    figure('commit → consumer, 1,000/s, p50', part('whole', 0.5), { type: 'none' }),
    figure('commit → consumer, 1,000/s, p99', part('whole', 0.99), { type: 'value', atMost: P99_MS }),
    figure('commit → JetStream, p99', part('stored', 0.99), { type: 'none' }),
    figure('JetStream → consumer, p99', part('read', 0.99), { type: 'none' }),
  ]
}

function figure(what: string, ours: number, goal: Figure['goal']): Figure {
  return { id: 'M-8', what, unit: 'ms', ours, goal }
}

/** Times on the clock of `performance.now()`. */
interface Arrival {
  /** The time when JetStream stored the event. */
  readonly storedAt: number
  readonly at: number
}

/** Returns the latencies in ms, at least 0: the event can be stored and delivered before the commit returns to the writer. */
function timesOf(committedAt: number, { storedAt, at }: Arrival = { storedAt: Infinity, at: Infinity }) {
  return {
    whole: Math.max(0, at - committedAt),
    stored: Math.max(0, storedAt - committedAt),
    read: at - storedAt,
  }
}

/** Starts a consumer; returns a map, filled as events arrive, from each organization's id to its event's times. */
async function consume(servers: CdcBenchServers): Promise<ReadonlyMap<string, Arrival>> {
  const arrivals = new Map<string, Arrival>()
  const consumer = await servers.nats.jetstream.consumers.get('entities')
  await consumer.consume({
    max_messages: 5000,
    callback({ data, info }) {
      const storedAt = info.timestampNanos / 1e6 - performance.timeOrigin
      arrivals.set(decodeOrganization(data).id, { storedAt, at: performance.now() })
    },
  })
  return arrivals
}

/** Commits once per millisecond, alternating between writers; returns by organization the time when its commit returned. */
async function write(writers: readonly Client[]): Promise<ReadonlyMap<string, number>> {
  const committed = new Map<string, number>()
  const total = (WARM_UP_SECONDS + SECONDS) * PER_SECOND
  const start = performance.now()
  let next = 1
  const turn = async (writer: Client): Promise<void> => {
    for (;;) {
      const number = next++
      if (number > total) return
      const waitMs = start + (number * 1000) / PER_SECOND - performance.now()
      if (waitMs > 0) await sleep(waitMs)
      const id = `l${number}`
      await writer.query(`INSERT INTO organizations (id, name) VALUES ($1, 'late')`, [id])
      committed.set(id, performance.now())
    }
  }
  await Promise.all(writers.map(turn))
  return committed
}

import { join } from 'node:path'
import { compare, type Figure, median } from '../report/figures.ts'
import type { BenchOptions } from '../report/report.ts'
import { PROFILE } from '../rig/program.ts'
import type { CdcBenchServers, Contender, Run } from './servers.ts'

const ROWS = 300_000
/** The number of rows for publishing one by one, which is slow: a tenth suffices. */
const FEWER_ROWS = 30_000
const ROWS_PER_SECOND = 60_000
const MAX_MEMORY_MB = 200

/** Measures M-7: 300,000 changed rows, 100 per transaction, from the slot to JetStream on file storage, all acknowledged. */
export async function measureThroughput(
  servers: CdcBenchServers,
  { rounds, alone, profile }: BenchOptions,
): Promise<readonly Figure[]> {
  const contender = join(servers.root, '.ponix/bench/programs/cdc-contender.js')
  const ours: Contender = {
    program: join(servers.root, 'dist/cdc.js'),
    args: [],
    nodeFlags: profile ? PROFILE : [],
    until: 'stored',
  }
  const bare: Contender = { program: contender, args: ['0'], until: 'done' }
  const others = new Map<string, Contender>(
    alone
      ? []
      : [
          ['one by one', { program: contender, args: ['1'], until: 'stored' }],
          ['100 in flight', { program: contender, args: ['100'], until: 'stored' }],
        ],
  )
  await servers.load(ROWS / 100)
  const runs: Run[] = []
  const drains: number[] = []
  const peers = new Map([...others.keys()].map((name) => [name, [] as number[]]))
  for (let round = 1; round <= rounds; round += 1) {
    console.error(`bench: M-7, round ${round} of ${rounds}`)
    runs.push(await servers.run(ours, ROWS))
    drains.push((await servers.run(bare, ROWS)).ms)
    for (const [name, other] of others) {
      const { ms } = await servers.run(other, FEWER_ROWS)
      peers.get(name)?.push((ms * ROWS) / FEWER_ROWS)
    }
  }
  const times = runs.map((run) => run.ms)
  const base = { id: 'M-7', unit: 'ms', ours: median(times) } as const
  const what = '300,000 rows, slot → JetStream'
  const whole: Figure = {
    ...base,
    what,
    beside: compare('slot drained, nothing published', times, drains),
    goal: { type: 'value', atMost: (ROWS / ROWS_PER_SECOND) * 1000 },
    peers: new Map([...peers].map(([name, values]) => [name, median(values)])),
  }
  const memory: Figure = {
    ...base,
    what: `${what}, peak memory`,
    unit: 'MB',
    ours: Math.max(...runs.map((run) => run.megabytes)),
    goal: { type: 'value', atMost: MAX_MEMORY_MB },
  }
  const oneByOne = peers.get('one by one')
  if (oneByOne === undefined) return [whole, memory]
  const beside = compare('one by one', times, oneByOne)
  return [whole, { ...base, what: `${what}, beside one by one`, beside, goal: { type: 'ratio', atMost: 0.1 } }, memory]
}

import { join } from 'node:path'
import { compare, type Figure, median } from '../report/figures.ts'
import type { CdcBenchServers, Contender, Run } from './servers.ts'

const ROWS = 300_000
/** Publishing one by one is slow: a tenth of the rows suffices. */
const FEWER_ROWS = 30_000
const ROWS_PER_SECOND = 60_000
const MAX_MEMORY_MB = 200
/** Writes a CPU profile for Chrome's tools. */
const PROFILE = ['--cpu-prof', '--cpu-prof-dir=.ponix/bench/profiles']

/** M-7: 300,000 changed rows, 100 in a transaction, from the slot to JetStream on file storage, every one acknowledged. */
export async function measureThroughput(
  servers: CdcBenchServers,
  { rounds, alone, profile }: { readonly rounds: number; readonly alone: boolean; readonly profile: boolean },
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
  const runs = { ours: [] as Run[], bare: [] as Run[], others: new Map<string, number[]>() }
  for (let round = 1; round <= rounds; round += 1) {
    console.error(`bench: M-7, round ${round} of ${rounds}`)
    runs.ours.push(await servers.run(ours, ROWS))
    runs.bare.push(await servers.run(bare, ROWS))
    for (const [name, other] of others) {
      const { ms } = await servers.run(other, FEWER_ROWS)
      runs.others.set(name, [...(runs.others.get(name) ?? []), (ms * ROWS) / FEWER_ROWS])
    }
  }
  return figures(runs)
}

function figures({
  ours,
  bare,
  others,
}: {
  readonly ours: readonly Run[]
  readonly bare: readonly Run[]
  readonly others: ReadonlyMap<string, readonly number[]>
}): readonly Figure[] {
  const times = ours.map((run) => run.ms)
  const drains = bare.map((run) => run.ms)
  const oneByOne = others.get('one by one')
  const none = new Map<string, number>()
  const base = { id: 'M-7', unit: 'ms', ours: median(times) } as const
  const what = '300,000 rows, slot → JetStream'
  const whole: Figure = {
    ...base,
    what,
    beside: compare('slot drained, nothing published', times, drains),
    goal: { type: 'value', atMost: (ROWS / ROWS_PER_SECOND) * 1000 },
    peers: new Map([...others].map(([name, values]) => [name, median(values)])),
  }
  const memory: Figure = {
    ...base,
    what: `${what}, most memory`,
    unit: 'MB',
    ours: Math.max(...ours.map((run) => run.megabytes)),
    beside: null,
    goal: { type: 'value', atMost: MAX_MEMORY_MB },
    peers: none,
  }
  if (oneByOne === undefined) return [whole, memory]
  const beside = compare('one by one', times, oneByOne)
  return [
    whole,
    { ...base, what: `${what}, beside one by one`, beside, goal: { type: 'ratio', atMost: 0.1 }, peers: none },
    memory,
  ]
}

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Figure } from '../report/figures.ts'
import { ContenderRun } from './contender-run.ts'
import type { Contender } from './peers.ts'
import { describeDamage, inspect, lineFile } from './lines.ts'
import type { Comparison } from './comparison.ts'

const LONGEST_MS = 120_000
const MOST_MEMORY_MB = 100

interface Size {
  readonly id: string
  readonly children: number
  readonly lines: number
}

interface Sample {
  /** The time from the start of the first child to the last write to the file. */
  readonly ms: number
  /** The time from the start of the contender to its exit. */
  readonly wholeMs: number
  readonly megabytes: number
  readonly damage: string
}

/** Measures M-1 and M-2: children write at full speed, and their lines are relayed with prefixes to a file, which is checked. */
export async function measureThroughput(comparison: Comparison, size: Size): Promise<readonly Figure[]> {
  const samples = await comparison.rounds((contender) => relay(contender, comparison.scratch, size))
  const what = `${size.children} × ${size.lines.toLocaleString('en-GB')} lines`
  const damage = damageOf(samples.ours)
  if (damage !== '') console.error(`bench: ${size.id} ours: ${damage}`)
  const figure = (part: string, unit: 'ms' | 'MB', of: (sample: Sample) => number, goal: Figure['goal']): Figure =>
    comparison.figure(samples, { id: size.id, what: `${what}, ${part}`, unit, goal }, of, damageOf)
  return [
    figure('relayed', 'ms', (sample) => sample.ms, { type: 'ratio', atMost: 1.25 }),
    figure('with start and exit', 'ms', (sample) => sample.wholeMs, { type: 'none' }),
    figure('peak memory', 'MB', (sample) => sample.megabytes, { type: 'value', atMost: MOST_MEMORY_MB }),
  ]
}

/** Returns the damage of the first damaged sample. */
function damageOf(samples: readonly Sample[]): string {
  return samples.find((sample) => sample.damage !== '')?.damage ?? ''
}

async function relay(contender: Contender, scratch: string, { children, lines }: Size): Promise<Sample> {
  const inputs = Array.from({ length: children }, (_, child) => lineFile(join(scratch, 'lines'), child, lines))
  const run = new ContenderRun(contender, scratch, {
    restarts: false,
    children: (folder) =>
      inputs.map((input, child) => ({
        name: `child${child}`,
        line: `date +%s%N > ${join(folder, `started-${child}`)}; exec cat ${input}`,
      })),
  })
  try {
    await run.ended(LONGEST_MS)
    return {
      ms: run.lastWriteAt - firstStart(run.folder),
      wholeMs: performance.now() - run.startedAt,
      megabytes: run.peakMegabytes,
      damage: describeDamage(inspect(run.outputPath, children, lines)),
    }
  } finally {
    run.dispose()
  }
}

/** Returns the start of the first child in ms since 1970. */
function firstStart(folder: string): number {
  const starts = readdirSync(folder).filter((name) => name.startsWith('started-'))
  return Math.min(...starts.map((name) => Number(readFileSync(join(folder, name), 'utf8')) / 1e6))
}

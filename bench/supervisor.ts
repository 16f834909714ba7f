// Supervision (M-1 to M-6): relayed lines, restarts, 100 children, idle cost, latency of --help.
import type { Figure } from './report/figures.ts'
import { runBench } from './report/report.ts'
import { measureHundred, measureIdle, measureReplacement } from './supervisor/children.ts'
import { Comparison } from './supervisor/comparison.ts'
import { measureHelpLatency } from './supervisor/help-latency.ts'
import { measureThroughput } from './supervisor/throughput.ts'

/** The function that measures each id. */
const measurements: Readonly<Record<string, (comparison: Comparison) => Promise<readonly Figure[]>>> = {
  'M-1': (comparison) => measureThroughput(comparison, { id: 'M-1', children: 1, lines: 1_000_000 }),
  'M-2': (comparison) => measureThroughput(comparison, { id: 'M-2', children: 8, lines: 200_000 }),
  'M-3': measureReplacement,
  'M-4': measureHundred,
  'M-5': measureIdle,
  'M-6': measureHelpLatency,
}

await runBench('supervisor', Object.keys(measurements), async (options) => {
  const comparison = new Comparison(options)
  const figures: Figure[] = []
  for (const [id, measure] of Object.entries(measurements)) {
    if (!options.only.includes(id)) continue
    console.error(`bench: ${id}`)
    figures.push(...(await measure(comparison)))
  }
  return figures
})

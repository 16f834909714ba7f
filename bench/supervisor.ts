// Supervision (M-1 to M-6): relayed lines, restarts, 100 children, idle cost, latency of --help.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Figure } from './report/figures.ts'
import { report } from './report/report.ts'
import { measureHundred, measureIdle, measureReplacement } from './supervisor/children.ts'
import { type Comparison, prepare } from './supervisor/comparison.ts'
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

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    alone: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: Object.keys(measurements) },
    rounds: { type: 'string', default: '5' },
  },
})
const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
const comparison = prepare(root, { rounds: Number(values.rounds), withPeers: !values.alone })
const figures = []
for (const [id, measure] of Object.entries(measurements)) {
  if (!values.only.includes(id)) continue
  console.error(`bench: ${id}`)
  figures.push(...(await measure(comparison)))
}
report('supervisor', figures, { ...values, document: join(root, 'docs/measurements.md') })

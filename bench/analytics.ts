// Analytics: throughput from raw envelopes to rows, latency from MQTT to a visible row, and the effect of a hostile neighbour.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { measureLatency } from './analytics/latency.ts'
import { measureNeighbour } from './analytics/neighbour.ts'
import { AnalyticsBenchStage } from './analytics/stage.ts'
import { measureThroughput } from './analytics/throughput.ts'
import type { Figure } from './report/figures.ts'
import { report } from './report/report.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    alone: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: ['M-11', 'M-12', 'P-3'] },
    rounds: { type: 'string', default: '5' },
  },
})
const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
mkdirSync(join(root, '.ponix/bench'), { recursive: true })
const scratch = mkdtempSync(join(root, '.ponix/bench/analytics-'))
const stage = await AnalyticsBenchStage.open(root, scratch)
const rounds = Number(values.rounds)
const figures: Figure[] = []
try {
  if (values.only.includes('M-11')) figures.push(...(await measureThroughput(stage, { ...values, rounds })))
  if (values.only.includes('M-12')) figures.push(...(await measureLatency(stage)))
  if (values.only.includes('P-3')) figures.push(await measureNeighbour(stage, rounds))
} finally {
  await stage.close()
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 })
}
report('analytics', figures, { ...values, document: join(root, 'docs/measurements.md') })
process.exit()

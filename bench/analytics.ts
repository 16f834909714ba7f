// Analytics: throughput from raw envelopes to rows, latency from MQTT to a visible row, and ten organizations of which one sends too much.
import { measureLatency } from './analytics/latency.ts'
import { PipelineStage } from './rig/pipeline-stage.ts'
import { measureTenOrganizations } from './analytics/ten-organizations.ts'
import { measureThroughput } from './analytics/throughput.ts'
import type { Figure } from './report/figures.ts'
import { runBench } from './report/report.ts'

await runBench('analytics', ['M-11', 'M-12', 'P-3'], async (options) => {
  const { root, scratch, only, rounds } = options
  const stage = await PipelineStage.open(root, scratch)
  const figures: Figure[] = []
  try {
    if (only.includes('M-11')) figures.push(...(await measureThroughput(stage, options)))
    if (only.includes('M-12')) figures.push(...(await measureLatency(stage)))
    if (only.includes('P-3')) figures.push(...(await measureTenOrganizations(stage, rounds)))
  } finally {
    await stage.close()
  }
  return figures
})

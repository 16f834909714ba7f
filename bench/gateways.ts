// Gateways: start, memory and idle load of 10,000 gateways, and messages per second through one MQTT gateway.
import { measureFleet } from './gateways/fleet.ts'
import type { Figure } from './report/figures.ts'
import { runBench } from './report/report.ts'
import { PipelineStage } from './rig/pipeline-stage.ts'

await runBench('gateways', ['M-13'], async (options) => {
  const stage = await PipelineStage.open(options.root, options.scratch)
  const figures: Figure[] = []
  try {
    if (options.only.includes('M-13')) figures.push(...(await measureFleet(stage, options)))
  } finally {
    await stage.close()
  }
  return figures
})

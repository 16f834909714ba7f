// Gateways: start, memory and load of 10,000; messages per second through one MQTT gateway, and through the whole pipeline.
import { measureFleet } from './gateways/fleet.ts'
import { measurePipeline } from './gateways/pipeline.ts'
import { measureThroughput } from './gateways/throughput.ts'
import type { Figure } from './report/figures.ts'
import { runBench } from './report/report.ts'
import { PipelineStage } from './rig/pipeline-stage.ts'

await runBench('gateways', ['M-13', 'M-15', 'G-12'], async (options) => {
  const stage = await PipelineStage.open(options.root, options.scratch)
  const figures: Figure[] = []
  try {
    if (options.only.includes('M-13')) figures.push(...(await measureFleet(stage, options)))
    if (options.only.includes('G-12')) figures.push(...(await measureThroughput(stage, options)))
    if (options.only.includes('M-15')) figures.push(...(await measurePipeline(stage, options)))
  } finally {
    await stage.close()
  }
  return figures
})

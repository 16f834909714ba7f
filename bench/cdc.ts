// Change data capture: M-7, rows per second from the slot to JetStream; M-8, latency from the commit to a consumer.
import { measureLatency } from './cdc/latency.ts'
import { CdcBenchServers } from './cdc/servers.ts'
import { measureThroughput } from './cdc/throughput.ts'
import type { Figure } from './report/figures.ts'
import { runBench } from './report/report.ts'

await runBench('cdc', ['M-7', 'M-8'], async (options) => {
  const servers = await CdcBenchServers.open(options.root, options.scratch)
  const figures: Figure[] = []
  try {
    if (options.only.includes('M-8')) figures.push(...(await measureLatency(servers)))
    if (options.only.includes('M-7')) figures.push(...(await measureThroughput(servers, options)))
  } finally {
    await servers.close()
  }
  return figures
})

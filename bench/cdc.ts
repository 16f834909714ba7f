// Change data capture: M-7, rows per second from the slot to JetStream; M-8, latency from the commit to a consumer.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { measureLatency } from './cdc/latency.ts'
import { CdcBenchServers } from './cdc/servers.ts'
import { measureThroughput } from './cdc/throughput.ts'
import type { Figure } from './report/figures.ts'
import { report } from './report/report.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    alone: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: ['M-7', 'M-8'] },
    rounds: { type: 'string', default: '5' },
  },
})
const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
mkdirSync(join(root, '.ponix/bench'), { recursive: true })
const scratch = mkdtempSync(join(root, '.ponix/bench/cdc-'))
const servers = await CdcBenchServers.open(root, scratch)
const figures: Figure[] = []
try {
  if (values.only.includes('M-8')) figures.push(...(await measureLatency(servers)))
  if (values.only.includes('M-7')) {
    figures.push(...(await measureThroughput(servers, { ...values, rounds: Number(values.rounds) })))
  }
} finally {
  await servers.close()
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 })
}
report('cdc', figures, { ...values, document: join(root, 'docs/measurements.md') })
process.exit()

// Supervision (M-1 to M-6): lines relayed, restarts, a hundred children, idling, the first word of --help.
import { parseArgs } from 'node:util'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { report } from './report/report.ts'
import { prepare } from './supervisor/prepare.ts'
import { measurements } from './supervisor/measurements.ts'

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
const field = prepare(root, { rounds: Number(values.rounds), withPeers: !values.alone })
const figures = []
for (const [id, measure] of Object.entries(measurements)) {
  if (!values.only.includes(id)) continue
  console.error(`bench: ${id}`)
  figures.push(...(await measure(field)))
}
report('supervisor', figures, { ...values, document: join(root, 'docs/measurements.md') })

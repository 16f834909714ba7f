import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import type { Gateway } from '../../src/domain/entities.ts'
import { testGateway } from '../../test/rig/gateways/orchestrator-rig.ts'
import { OverlapWarnings } from './overlap-warnings.ts'

interface Line {
  readonly msg: string
  readonly gateway_id?: string
  readonly pairs?: number
}

/** The warnings of an instance that runs the gateways with these ids; `desired` can change. */
function warningsOf(desired: readonly Gateway[], runs: (gatewayId: string) => boolean) {
  const lines: Line[] = []
  const logger = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const current = { desired }
  const warnings = new OverlapWarnings({
    desired: () => current.desired,
    connectedTo: (gatewayId) => (runs(gatewayId) ? null : undefined),
    logger,
  })
  const end = new AbortController()
  const ended = warnings.run(end.signal)
  onTestFinished(async () => {
    end.abort()
    await ended
  })
  return { warnings, lines, current }
}

const mqtt = (gatewayId: string) => ({ ...testGateway(gatewayId), gatewayType: 'mqtt', gatewayConfig: { host: 'b' } })

test('G-16: an instance warns of its gateways, also of a pair whose other gateway runs elsewhere', async () => {
  const { warnings, lines } = warningsOf([mqtt('own'), mqtt('elsewhere')], (id) => id === 'own')
  await expect.poll(() => warnings.count).toBe(1)
  expect([warnings.of('own'), warnings.of('elsewhere')]).toEqual([expect.stringContaining('elsewhere'), null])
  expect(lines).toMatchObject([{ gateway_id: 'own' }])
})

test('G-16: many pairs that appear together are logged in few lines, and all gateways have their warning', async () => {
  const many = Array.from({ length: 700 }, (_, index) => mqtt(`g${index}`))
  const { warnings, lines, current } = warningsOf(many, () => true)
  await expect.poll(() => warnings.count).toBe(700)
  expect(lines).toHaveLength(101)
  expect(lines.at(-1)).toMatchObject({ pairs: 599 })
  current.desired = many.slice(0, 1)
  warnings.changed()
  await expect.poll(() => warnings.count).toBe(0)
  expect(lines).toHaveLength(101)
})

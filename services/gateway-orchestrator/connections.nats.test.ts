import { expect, test } from 'vitest'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'

const rig = GatewayRig.forEach()

/** The rows of a gateway, and the version of its row of the table of gateways. */
async function stored(gatewayId: string) {
  const [row] = await rig.database.sql<{ version: string; updated: string; [column: string]: unknown }>(
    `SELECT status, g.xmin::text AS version, updated_at::text AS updated, state, last_error, instance, seen_at IS NOT NULL AS live
     FROM gateways g LEFT JOIN gateway_connections USING (gateway_id) LEFT JOIN gateway_instances USING (instance)
     WHERE gateway_id = $1`,
    [gatewayId],
  )
  return row
}

test('G-14: the stored status of a gateway follows its state, without a new version of the gateway or a restart', async () => {
  const nowhere = { gatewayType: 'mqtt', gatewayConfig: { broker_url: 'mqtt://127.0.0.1:1' } }
  for (const each of [gateway('good', 1), gateway('bad', 1, nowhere), gateway('wrong', 1, { gatewayType: 'pigeon' })])
    await rig.insert(each)
  const before = await rig.database.sql('SELECT gateway_id, updated_at FROM gateways ORDER BY 1')
  const service = await rig.serve()
  const statuses = async () =>
    (await rig.database.sql('SELECT gateway_id || status AS text FROM gateways ORDER BY 1')).map(({ text }) => text)
  await expect.poll(statuses, WAIT).toEqual(['baderror', 'goodactive', 'wrongerror'])
  expect(await rig.database.sql('SELECT gateway_id, updated_at FROM gateways ORDER BY 1')).toEqual(before)
  // As cdc reports the change of the status.
  await rig.publishEvent('update', gateway('good', 1))
  await rig.untilApplied()
  expect(service.history('good')).toEqual(['running (print)'])
})

test('G-14: a restart changes the instance of a gateway and not its row, and a gateway that is removed has no connection', async () => {
  for (const id of ['g1', 'g2']) await rig.insert(gateway(id, 1))
  const first = await rig.serve()
  await expect.poll(() => stored('g1'), WAIT).toMatchObject({ state: 'running', status: 'active', live: true })
  const before = await stored('g1')
  expect(await first.stop()).toBe(0)
  expect(await stored('g1')).toMatchObject({ live: false })
  const second = await rig.serve()
  await expect.poll(() => stored('g1'), WAIT).toMatchObject({ state: 'running', live: true })
  const after = await stored('g1')
  expect(after?.['instance']).not.toBe(before?.['instance'])
  expect([after?.version, after?.updated]).toEqual([before?.version, before?.updated])
  await rig.database.sql(`UPDATE gateways SET deleted_at = now() WHERE gateway_id = 'g2'`)
  await rig.publishEvent('update', gateway('g2', 2, { deletedAt: 2n }))
  await second.until('g2', 'stopped')
  await expect.poll(() => stored('g2'), WAIT).toMatchObject({ state: null })
})

test('G-14: states are stored after PostgreSQL was away, and the failure is logged once', async () => {
  await rig.insert(gateway('g1', 1))
  const service = await rig.serve()
  await expect.poll(() => stored('g1'), WAIT).toMatchObject({ state: 'running' })
  await rig.database.sql('ALTER TABLE gateway_connections RENAME TO hidden')
  await rig.publishEvent('create', gateway('g2', 1))
  await rig.insert(gateway('g2', 1))
  await service.line('cannot store the states of gateways')
  await rig.database.sql('ALTER TABLE hidden RENAME TO gateway_connections')
  await expect.poll(() => stored('g2'), WAIT).toMatchObject({ state: 'running', status: 'active' })
  expect(service.lines.filter(({ msg }) => msg.startsWith('cannot store the states'))).toHaveLength(1)
})

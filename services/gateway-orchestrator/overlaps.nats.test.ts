import { expect, test } from 'vitest'
import type { JsonObject } from '../../src/domain/entities.ts'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'
import type { RunningService } from '../../test/rig/gateways/running-service.ts'

const rig = GatewayRig.forEach()

const mqtt = (gatewayId: string, version: number, gatewayConfig: JsonObject, organizationId = 'o1') =>
  gateway(gatewayId, version, { gatewayType: 'mqtt', gatewayConfig, organizationId })

async function warned(service: RunningService): Promise<readonly string[]> {
  const gateways = await service.gateways()
  return Object.keys(gateways).filter((gatewayId) => gateways[gatewayId]?.['warning'] !== null)
}

/** Returns the log lines that warn of pairs of gateways. */
function warnings(service: RunningService) {
  return service.lines.filter(({ msg }) => msg.includes('the same messages'))
}

test('G-16: gateways that were stored before the check receive the same messages and are warned of once, with both topics', async () => {
  const topic = { broker_url: rig.brokerUrl, topic: 'site/#' }
  for (const each of [mqtt('g1', 1, topic), mqtt('g2', 1, { ...topic, topic: 'site/+' }), gateway('g3', 1)])
    await rig.insert(each)
  const service = await rig.serve({ PONIX_GATEWAY_ORCHESTRATOR_RESYNC_SECS: '1' })
  await expect.poll(() => warned(service), WAIT).toEqual(['g1', 'g2'])
  const place = `${rig.mqtt.host}:${rig.mqtt.port}`
  expect(await service.gateways()).toMatchObject({
    g1: {
      warning: `receives the same messages as gateway g2, so messages are stored twice: topic filter site/# at ${place} overlaps site/+ at ${place}`,
    },
    g3: { warning: null },
  })
  expect(await service.metric('ponix_gateway_overlaps')).toBe(2)
  // A change of another gateway compares them again.
  const other = mqtt('g4', 1, { ...topic, topic: 'site/d1' })
  await rig.insert(other)
  await expect.poll(() => warned(service), WAIT).toEqual(['g1', 'g2', 'g4'])
  expect(warnings(service).filter(({ msg }) => !msg.includes('site/d1'))).toMatchObject([
    { level: 'warn', organization_id: 'o1' },
  ])
})

test('G-16: gateways that reach one broker by two names are warned of, until one has another topic', async () => {
  const byName = mqtt('name', 1, { broker_url: `mqtt://localhost:${rig.mqtt.port}` })
  const byAddress = mqtt('address', 1, { broker_url: `mqtt://127.0.0.1:${rig.mqtt.port}` })
  for (const each of [byName, byAddress]) await rig.insert(each)
  await rig.insert(mqtt('elsewhere', 1, { broker_url: 'mqtt://127.0.0.1:1' }))
  const service = await rig.serve()
  await expect.poll(() => warned(service), WAIT).toEqual(['address', 'name'])
  expect(warnings(service)).toHaveLength(1)
  await rig.publishEvent('update', { ...byName, gatewayConfig: { ...byName.gatewayConfig, topic: 'roof/+' } })
  await expect.poll(() => warned(service), WAIT).toEqual([])
  expect(await service.metric('ponix_gateway_overlaps')).toBe(0)
})

test('G-16: gateways with two users of one broker are warned of, until one is deleted, and not those of two organizations', async () => {
  const config = { broker_url: rig.brokerUrl, topic: 'site/+' }
  const second = mqtt('g2', 1, { ...config, username: 'u2' })
  for (const each of [mqtt('g1', 1, { ...config, username: 'u1' }), second, mqtt('g3', 1, config, 'o2')])
    await rig.insert(each)
  const service = await rig.serve()
  await expect.poll(() => warned(service), WAIT).toEqual(['g1', 'g2'])
  expect(warnings(service)).toMatchObject([{ level: 'warn', msg: expect.stringContaining('may receive') }])
  await rig.publishEvent('delete', second)
  await expect.poll(() => warned(service), WAIT).toEqual([])
})

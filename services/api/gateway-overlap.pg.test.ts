import { status as Status } from '@grpc/grpc-js'
import { beforeAll, describe, expect, test } from 'vitest'
import { GatewayService } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { apiForAll, isServiceError, refusal, type TestApi } from '../../test/rig/services/api.ts'

const { createGateway, updateGateway, deleteGateway } = GatewayService.method

const rig = apiForAll()
let api: TestApi

beforeAll(() => {
  ;({ api } = rig)
})

async function create(organizationId: string, config: object, gatewayType = 'mqtt'): Promise<string> {
  const request = { organizationId, gatewayType, gatewayConfig: JSON.stringify(config) }
  const { gateway } = await api.client.call(createGateway, request)
  return gateway?.gatewayId ?? ''
}

const update = (gatewayId: string, config: object, gatewayType?: string) =>
  api.client.call(updateGateway, {
    gatewayId,
    gatewayConfig: JSON.stringify(config),
    ...(gatewayType === undefined ? {} : { gatewayType }),
  })

/** The refusal of a gateway for broker `b`, whose topic overlaps that of another gateway. */
function overlap(own: string, its: string, gatewayId: string) {
  return {
    code: Status.FAILED_PRECONDITION,
    details: expect.stringContaining(`topic filter ${own} overlaps ${its} of gateway ${gatewayId} at b:1883`),
  }
}

describe('G-16 a gateway that would receive the messages of another one', () => {
  test('is FAILED_PRECONDITION on create, with the id and both topics; in another organization it is accepted', async () => {
    const organizationId = await rig.newOrganization()
    const gatewayId = await create(organizationId, { host: 'b', topic: '+/d1' })
    const topic = `${organizationId}/#`
    const refused = refusal(create(organizationId, { broker_url: 'mqtt://B', topic }, 'emqx'))
    expect(await refused).toEqual(overlap(topic, '+/d1', gatewayId))
    await create(organizationId, { host: 'b', topic: '+/d2' })
    await create(await rig.newOrganization(), { host: 'b', topic: '+/d1' })
  })

  test('is FAILED_PRECONDITION on an update of its config or type, which then changes nothing', async () => {
    const organizationId = await rig.newOrganization()
    const first = await create(organizationId, { host: 'b', application_id: 'a1' }, 'ttn')
    const second = await create(organizationId, { host: 'b', application_id: 'a1' }, 'chirpstack')
    const its = 'v3/a1/devices/+/up'
    expect(await refusal(update(second, { host: 'b', application_id: 'a1' }, 'ttn'))).toEqual(overlap(its, its, first))
    expect(await refusal(update(second, { host: 'b' }, 'ttn'))).toEqual(overlap('v3/+/devices/+/up', its, first))
    const { gateway } = await update(second, { host: 'b', application_id: 'a2' })
    expect(gateway?.gatewayType).toBe('chirpstack')
    // Its own row is not another gateway.
    await update(first, { host: 'b', application_id: 'a1', port: 1883 })
  })

  test('is accepted once the other one is deleted', async () => {
    const organizationId = await rig.newOrganization()
    const gatewayId = await create(organizationId, { host: 'b' })
    const topic = `${organizationId}/+`
    expect(await refusal(create(organizationId, { host: 'b' }))).toEqual(overlap(topic, topic, gatewayId))
    await api.client.call(deleteGateway, { gatewayId })
    await create(organizationId, { host: 'b' })
  })

  test('can be renamed and have another password if both were stored before', async () => {
    const organizationId = await rig.newOrganization()
    const gatewayId = await create(organizationId, { host: 'b', username: 'u' })
    await rig.schema.sql(
      `INSERT INTO gateways (gateway_id, organization_id, gateway_type, gateway_config)
        SELECT 'copy of ' || gateway_id, organization_id, 'mqtt', gateway_config FROM gateways WHERE gateway_id = $1`,
      [gatewayId],
    )
    await api.client.call(updateGateway, { gatewayId, name: 'Roof' })
    await update(gatewayId, { host: 'b', username: 'u', password: 'new' })
    const its = `${organizationId}/+`
    expect(await refusal(update(gatewayId, { host: 'b', username: 'u', topic: '#' }))).toEqual(
      overlap('#', its, `copy of ${gatewayId}`),
    )
  })

  test('is refused if both are written at the same time', async () => {
    const organizationId = await rig.newOrganization()
    const attempts = Array.from({ length: 20 }, (_, index) =>
      create(organizationId, { host: 'b', topic: `${organizationId}/${index % 2 === 0 ? '+' : '#'}` }),
    )
    const outcomes = await Promise.allSettled(attempts)
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    const codes = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [codeOf(outcome.reason)] : []))
    expect(new Set(codes)).toEqual(new Set([Status.FAILED_PRECONDITION]))
  })

  test('is refused if both are changed at the same time', async () => {
    const organizationId = await rig.newOrganization()
    const ids = await Promise.all(
      Array.from({ length: 10 }, (_, index) => create(organizationId, { host: 'b', topic: `+/d${index}` })),
    )
    const outcomes = await Promise.allSettled(ids.map((gatewayId) => update(gatewayId, { host: 'b', topic: '+/roof' })))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test('is accepted with a warning that has the id if it has another user, on create and update', async () => {
    const organizationId = await rig.newOrganization()
    const first = await create(organizationId, { host: 'b' })
    const gatewayConfig = JSON.stringify({ host: 'b', username: 'u' })
    const created = await api.client.call(createGateway, { organizationId, gatewayType: 'mqtt', gatewayConfig })
    const warning = expect.stringContaining(`the gateway may receive the same messages as gateway ${first}`)
    expect(created.warnings).toEqual([warning])
    const gatewayId = created.gateway?.gatewayId ?? ''
    expect((await update(gatewayId, { host: 'b', username: 'u', topic: '+/d1' })).warnings).toEqual([warning])
    expect((await api.client.call(updateGateway, { gatewayId, name: 'Roof' })).warnings).toEqual([])
    expect((await update(gatewayId, { host: 'other' })).warnings).toEqual([])
  })

  test('is found among more gateways than a page holds', async () => {
    const organizationId = await rig.newOrganization()
    const gatewayId = await create(organizationId, { host: 'b' })
    await rig.schema.sql(
      `INSERT INTO gateways (gateway_id, organization_id, gateway_type, gateway_config)
        SELECT 'many ' || $1 || number, $1, 'mqtt', jsonb_build_object('host', 'b', 'topic', 'site/' || number)
        FROM generate_series(1, 1200) AS number`,
      [organizationId],
    )
    expect(await refusal(create(organizationId, { host: 'b' }))).toEqual(
      overlap(`${organizationId}/+`, `${organizationId}/+`, gatewayId),
    )
  })
})

function codeOf(error: unknown): Status | undefined {
  return isServiceError(error) ? error.code : undefined
}

import { status as Status } from '@grpc/grpc-js'
import { beforeAll, describe, expect, test } from 'vitest'
import { GatewayService } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { apiForAll, refusal, type TestApi } from '../../test/rig/services/api.ts'

const { createGateway, updateGateway } = GatewayService.method

const rig = apiForAll()
let api: TestApi
let organizationId: string

beforeAll(async () => {
  ;({ api } = rig)
  organizationId = await rig.newOrganization()
})

const create = (gatewayType: string, gatewayConfig: string) =>
  refusal(api.client.call(createGateway, { organizationId, gatewayType, gatewayConfig }))

/** Configs that no type with a broker accepts, and the start of the error after `gateway_config: `. */
const WRONG: readonly (readonly [config: object, details: string])[] = [
  [{ port: 1883 }, 'expected "broker_url" (mqtt://host:port or mqtts://host:port) or "host"'],
  [{ host: 'b', broker_url: 'mqtt://b' }, 'expected "broker_url" (mqtt://host:port or mqtts://host:port) or "host"'],
  [{ hots: 'b' }, 'hots: unknown key; did you mean "host"?'],
  [{ brokerUrl: 'mqtt://b' }, 'brokerUrl: unknown key; did you mean "broker_url"?'],
  [{ host: 'b', pasword: 'secret' }, 'pasword: unknown key; did you mean "password"?'],
  [{ host: 'b', colour: 'red' }, 'colour: unknown key; expected one of broker_url, host, port, username, '],
  [{ host: '' }, 'host: expected a host name or an IP address, without scheme and port'],
  [{ host: 'mqtt://b' }, 'host: expected a host name or an IP address, without scheme and port'],
  [{ host: 'b:1883' }, 'host: expected a host name or an IP address, without scheme and port'],
  [{ host: 'a b' }, 'host: expected a host name or an IP address, without scheme and port'],
  [{ host: ['b'] }, 'host: Invalid input: expected string'],
  [{ host: 'b', port: 0 }, 'port: Too small'],
  [{ host: 'b', port: 65_536 }, 'port: Too big'],
  [{ host: 'b', port: 1883.5 }, 'port: Invalid input: expected int'],
  [{ host: 'b', port: '1883' }, 'port: Invalid input: expected number'],
  [{ broker_url: 'mqtt://b', port: 1883 }, 'port: expected the port in "broker_url"; "port" belongs to "host"'],
  [{ broker_url: 'http://b' }, 'broker_url: expected mqtt://host:port or mqtts://host:port'],
  [{ broker_url: 'b:1883' }, 'broker_url: expected mqtt://host:port or mqtts://host:port'],
  [{ broker_url: 'mqtt://b:65536' }, 'broker_url: expected mqtt://host:port or mqtts://host:port'],
  [{ broker_url: 'mqtt://u:secret@b' }, 'broker_url: expected a URL without user and password; use "username" and'],
  [{ broker_url: 'mqtt://secret@b' }, 'broker_url: expected a URL without user and password; use "username" and'],
  [{ broker_url: 'mqtt://b/secret' }, 'broker_url: expected a URL without a path'],
  [{ broker_url: 'mqtt://b?x=secret' }, 'broker_url: expected a URL without a path'],
  [{ host: 'b', username: null }, 'username: Invalid input: expected string'],
  [{ host: 'b', ca: 'secret' }, 'ca: expected PEM: -----BEGIN CERTIFICATE-----'],
]

const TOPICS: typeof WRONG = [
  [{ host: 'b', topic: '' }, 'topic: expected an MQTT topic filter such as {organization_id}/+'],
  [{ host: 'b', topic: 'a/b+' }, 'topic: expected an MQTT topic filter such as {organization_id}/+'],
  [{ host: 'b', topic: '#/a' }, 'topic: expected an MQTT topic filter such as {organization_id}/+'],
  [{ host: 'b', topic: '$share/g' }, 'topic: expected an MQTT topic filter such as {organization_id}/+'],
  [{ host: 'b', topic: 'a/'.repeat(300) }, 'topic: expected an MQTT topic filter such as {organization_id}/+'],
  [{ host: 'b', topic: 'o1//d1' }, 'topic: expected levels that are not empty'],
  [{ host: 'b', topic: '/o1/+' }, 'topic: expected levels that are not empty'],
  [{ host: 'b', retained: 'yes' }, 'retained: Invalid input: expected boolean'],
  [{ host: 'b', application_id: 'a' }, 'application_id: unknown key; expected one of '],
]

const APPLICATIONS: typeof WRONG = [
  [{ host: 'b', application_id: '' }, 'application_id: expected the id of an application, without / + and #'],
  [{ host: 'b', application_id: '+' }, 'application_id: expected the id of an application, without / + and #'],
  [{ host: 'b', application_id: 'a#' }, 'application_id: expected the id of an application, without / + and #'],
  [{ host: 'b', application_id: 'a/b' }, 'application_id: expected the id of an application, without / + and #'],
  [{ host: 'b', application_id: 'a'.repeat(256) }, 'application_id: Too big'],
  [{ host: 'b', application_id: 7 }, 'application_id: Invalid input: expected string'],
  [{ host: 'b', topic: 'a' }, 'topic: unknown key; expected one of '],
]

const KINDS = [
  { type: 'mqtt', configs: [...WRONG, ...TOPICS] },
  { type: 'EMQX', configs: [...WRONG, ...TOPICS] },
  { type: 'chirpstack', configs: [...WRONG, ...APPLICATIONS] },
  { type: 'ttn', configs: [...WRONG, ...APPLICATIONS] },
]

describe('G-16 a gateway_config of the wrong shape is INVALID_ARGUMENT', () => {
  test.each(KINDS)('for the type $type, with the key and without its value', async ({ type, configs }) => {
    for (const [config, details] of configs) {
      const { code, details: actual } = await create(type, JSON.stringify(config))
      const seen = { config, code, details: actual.slice(0, `gateway_config: ${details}`.length) }
      expect(seen).toEqual({ config, code: Status.INVALID_ARGUMENT, details: `gateway_config: ${details}` })
      expect(actual).not.toContain('secret')
    }
  })

  test.each([
    ['x', '{}', 'gateway_type must be one of mqtt, emqx, chirpstack, ttn, print, not "x"'],
    ['mqtt', '{"host": "b\\u0000"}', 'gateway_config must not contain the NUL character or half a surrogate pair'],
    ['mqtt', '{"topic\\u0000": 1}', 'gateway_config must not contain the NUL character or half a surrogate pair'],
    ['mqtt', `{"host": "b", "topic": "${'a'.repeat(65_535)}"}`, 'gateway_config is too long: '],
    ['print', '[]', 'gateway_config must be a JSON object'],
    ['ttn', '{"host": "b"', 'gateway_config must be a JSON object'],
  ])('for the type %s with %.40s', async (type, config, details) => {
    expect(await create(type, config)).toEqual({
      code: Status.INVALID_ARGUMENT,
      details: expect.stringContaining(details),
    })
  })
})

describe('G-16 a topic filter that no topic of the organization matches', () => {
  test.each(['site/+', 'site/#', '$share/group/site/+', 'ORG', 'ORG/site/+', '+/+/+'])(
    '%s is INVALID_ARGUMENT, with a filter that is possible',
    async (filter) => {
      const topic = filter.replace('ORG', organizationId)
      const details = `gateway_config: topic: expected a filter that matches ${organizationId}/{end_device_id}, such as ${organizationId}/+`
      const refused = { code: Status.INVALID_ARGUMENT, details }
      expect(await create('mqtt', JSON.stringify({ host: 'b', topic }))).toEqual(refused)
      expect(await create('EMQX', JSON.stringify({ host: 'b', topic }))).toEqual(refused)
    },
  )

  test('can stay at a stored gateway whose name changes, and not when its config is written', async () => {
    const [gatewayId, gatewayConfig] = [`stored of ${organizationId}`, '{"host": "b", "topic": "site/+"}']
    await rig.schema.sql(
      `INSERT INTO gateways (gateway_id, organization_id, gateway_type, gateway_config) VALUES ($1, $2, 'mqtt', $3)`,
      [gatewayId, organizationId, gatewayConfig],
    )
    const { gateway } = await api.client.call(updateGateway, { gatewayId, name: 'Roof' })
    expect(gateway?.name).toBe('Roof')
    const { code } = await refusal(api.client.call(updateGateway, { gatewayId, gatewayConfig }))
    expect(code).toBe(Status.INVALID_ARGUMENT)
  })

  test.each(['ORG/d1', 'ORG/+/#', '+/d1', '#', '$share/group/ORG/+', '$share/group/#'])('is not %s', async (filter) => {
    const owner = await rig.newOrganization()
    const gatewayConfig = JSON.stringify({ host: 'b', topic: filter.replace('ORG', owner) })
    const { gateway } = await api.client.call(createGateway, {
      organizationId: owner,
      gatewayType: 'mqtt',
      gatewayConfig,
    })
    expect(JSON.parse(gateway?.gatewayConfig ?? '')).toEqual(JSON.parse(gatewayConfig))
  })
})

import { describe, expect, it } from 'vitest'
import type { Gateway, JsonObject } from '../../src/domain/entities.ts'
import { mqttGatewayConfig, deviceOfTopic } from './runners.ts'

const gateway = (gatewayConfig: JsonObject): Gateway => ({
  gatewayId: 'g1',
  organizationId: 'o1',
  name: '',
  gatewayType: 'mqtt',
  gatewayConfig,
  status: 'active',
  createdAt: 0n,
  updatedAt: 0n,
  deletedAt: null,
})

describe('mqttGatewayConfig', () => {
  it('W-7 accepts a broker_url and subscribes to the organization by default', () => {
    expect(mqttGatewayConfig(gateway({ broker_url: 'mqtts://b:8883', username: 'u', password: 'p' }))).toMatchObject({
      brokerUrl: 'mqtts://b:8883',
      username: 'u',
      password: 'p',
      topicFilter: 'o1/+',
    })
  })

  it.each([
    [{ host: 'b' }, 'mqtt://b:1883'],
    [{ host: 'b', port: 2883 }, 'mqtt://b:2883'],
    [{ host: '::1' }, 'mqtt://[::1]:1883'],
  ])('W-7 accepts host and port: %j', (config, brokerUrl) => {
    expect(mqttGatewayConfig(gateway(config)).brokerUrl).toBe(brokerUrl)
  })

  it.each([[{}], [{ broker_url: 'http://b' }], [{ broker_url: 'mqtt://' }], [{ host: 'b', port: 0 }], [{ host: 7 }]])(
    'G-9 rejects %j and names what is expected',
    (config) => {
      expect(() => mqttGatewayConfig(gateway(config))).toThrow(/^gateway_config: .*(broker_url|port: )/)
    },
  )

  it('O-42 does not repeat values in errors', () => {
    expect(() => mqttGatewayConfig(gateway({ broker_url: 'secret', password: 'hunter2' }))).toThrow(
      expect.objectContaining({ message: expect.not.stringMatching(/secret|hunter2/) }),
    )
  })
})

describe('deviceOfTopic', () => {
  it("W-7 accepts exactly two non-empty segments, of which the first is the gateway's organization", () => {
    expect(deviceOfTopic('o1/d1', 'o1')).toBe('d1')
  })

  it.each(['o1', 'o1/', '/d1', '', '/', 'o1/d1/up', 'o1//d1'])('W-7 rejects %j', (topic) => {
    expect(() => deviceOfTopic(topic, 'o1')).toThrow('{end_device_id}')
  })

  it('W-7 rejects a device of another organization', () => {
    expect(() => deviceOfTopic('o2/d1', 'o1')).toThrow('organization o1')
  })
})

import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../entities.ts'
import { receivesSame, subscriptionOf, topicFiltersOf } from './subscription.ts'

const gateway = (gatewayType: string, gatewayConfig: JsonObject, gatewayId = 'g1') => ({
  gatewayId,
  organizationId: 'o1',
  gatewayType,
  gatewayConfig,
})

const PEM = ['CERTIFICATE', 'PRIVATE KEY'].map((label) => `-----BEGIN ${label}-----\nM\n-----END ${label}-----\n`)
const TLS = { broker_url: 'mqtts://b', cert: PEM[0] ?? '', key: PEM[1] ?? '' }

describe('G-14: the topic filters of a gateway', () => {
  it.each([
    ['MQTT', { host: 'b' }, ['o1/+']],
    ['emqx', { host: 'b', topic: '$share/a/o1/#' }, ['$share/a/o1/#']],
    [
      'ttn',
      { host: 'b', application_id: 'app1@ttn' },
      ['up', 'join', 'down/+', 'location/+', 'service/+'].map((end) => `v3/app1@ttn/devices/+/${end}`),
    ],
    ['print', { host: 'b' }, []],
    ['mqtt', {}, []],
  ])('of the type %s with the config %j are those of its messages, then those of events', (type, config, filters) => {
    expect(topicFiltersOf(gateway(type, config))).toEqual(filters)
  })
})

describe('G-16: the subscription of a gateway', () => {
  it.each([
    [{ host: 'B.example.COM' }, 'b.example.com', 1883],
    [{ host: 'b.example.com.', port: 1884 }, 'b.example.com', 1884],
    [{ broker_url: 'mqtt://b' }, 'b', 1883],
    [{ broker_url: 'MQTT://b:1883/' }, 'b', 1883],
    [{ broker_url: 'mqtts://b' }, 'b', 8883],
    [{ host: '::1' }, '[::1]', 1883],
    [{ host: '[::0:1]' }, '[::1]', 1883],
    [{ broker_url: 'mqtt://[0:0::1]' }, '[::1]', 1883],
    [{ host: '127.0.0.1', port: 80 }, '127.0.0.1', 80],
    [{ host: '127.1' }, '127.0.0.1', 1883],
  ])('with the config %j is at host %s and port %d', (config, host, port) => {
    expect(subscriptionOf(gateway('mqtt', config))).toMatchObject({ host, port })
  })

  it.each([
    ['print', { host: 'b' }],
    ['x', { host: 'b' }],
    ['mqtt', {}],
    ['mqtt', { host: '' }],
    ['mqtt', { host: 'b', topic: '#/a' }],
  ])('of the type %s with the config %j does not exist', (type, config) => {
    expect(subscriptionOf(gateway(type, config))).toBeNull()
  })
})

describe('G-16: two gateways of one organization', () => {
  it.each([
    [
      ['mqtt', { host: 'b' }],
      ['emqx', { broker_url: 'mqtt://B:1883' }],
    ],
    [
      ['MQTT', { host: 'b', topic: 'o1/d1' }],
      ['mqtt', { host: 'b' }],
    ],
    [
      ['mqtt', { host: 'b', topic: '#' }],
      ['ttn', { host: 'b' }],
    ],
    [
      ['ttn', { host: 'b' }],
      ['ttn', { host: 'b', application_id: 'a1' }],
    ],
    [
      ['mqtt', { host: 'b', password: 'old' }],
      ['mqtt', { host: 'b', password: 'new' }],
    ],
    [
      ['mqtt', { host: 'b', topic: '$share/g/a' }],
      ['mqtt', { host: 'b', topic: '$share/g/a' }],
    ],
  ] as const)('receive the same messages: %j and %j', (a, b) => {
    expect(receivesSameMessages(a, b)).toEqual([true, true])
  })

  it.each([
    [
      ['mqtt', { host: 'b' }],
      ['mqtt', { host: 'c' }],
    ],
    [
      ['mqtt', { host: 'b' }],
      ['mqtt', { host: 'b', port: 1884 }],
    ],
    [
      ['mqtt', { host: 'b' }],
      ['chirpstack', { host: 'b' }],
    ],
    [
      ['ttn', { host: 'b', application_id: 'a1' }],
      ['ttn', { host: 'b', application_id: 'a2' }],
    ],
    [
      ['mqtt', { host: 'b', username: 'u1' }],
      ['mqtt', { host: 'b', username: 'u2' }],
    ],
    [
      ['mqtt', { broker_url: 'mqtt://u1:p@b' }],
      ['mqtt', { host: 'b' }],
    ],
    [
      ['mqtt', TLS],
      ['mqtt', { broker_url: 'mqtts://b' }],
    ],
  ] as const)('do not, or not for certain: %j and %j', (a, b) => {
    expect(receivesSameMessages(a, b)).toEqual([false, false])
  })
})

type Case = readonly [type: string, config: JsonObject]

function receivesSameMessages(...[a, b]: readonly [Case, Case]): readonly boolean[] {
  const [first, second] = [subscriptionOf(gateway(...a)), subscriptionOf(gateway(...b))]
  if (first === null || second === null) throw new Error('the config is invalid')
  return [receivesSame(first, second), receivesSame(second, first)]
}

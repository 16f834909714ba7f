import { describe, expect, it } from 'vitest'
import type { Gateway, JsonObject } from './entities.ts'
import { checkGatewayConfig, gatewayBrokerConfig } from './gateway-config.ts'
import { maskSecrets } from './secrets.ts'

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

const CERT = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const KEY = '-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n'
/** A byte more than a string of MQTT can have. */
const LONG = 'ä'.repeat(32_768)
const TLS = { broker_url: 'mqtts://b', cert: CERT, key: KEY }

describe('the config of a gateway', () => {
  it('W-7 accepts a broker_url and subscribes to the organization by default', () => {
    expect(
      gatewayBrokerConfig('mqtt', gateway({ broker_url: 'mqtts://b:8883', username: 'u', password: 'p' })),
    ).toMatchObject({
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
    expect(gatewayBrokerConfig('mqtt', gateway(config)).brokerUrl).toBe(brokerUrl)
  })

  it.each([[{}], [{ broker_url: 'http://b' }], [{ broker_url: 'mqtt://' }], [{ host: 'b', port: 0 }], [{ host: 7 }]])(
    'G-9 rejects %j and names what is expected',
    (config) => {
      expect(() => gatewayBrokerConfig('mqtt', gateway(config))).toThrow(
        /^gateway_config: .*(broker_url|port: |host: )/,
      )
    },
  )

  it.each([
    ['username: expected at most 65,535 bytes', { host: 'b', username: LONG }],
    ['password: expected at most 65,535 bytes', { host: 'b', username: 'u', password: LONG }],
    ['broker_url: expected a user and a password of at most 65,535 bytes', { broker_url: `mqtt://${LONG}@b` }],
    ['broker_url: expected a user and a password of at most 65,535 bytes', { broker_url: `mqtt://u:${LONG}@b` }],
    ['broker_url: expected a user and a password that', { broker_url: 'mqtt://u%zz@b' }],
    ['broker_url: expected a user and a password that', { broker_url: 'mqtt://u%00@b' }],
    ['topic: expected an MQTT topic filter', { host: 'b', topic: LONG }],
    ['host: expected at most 253 characters', { host: 'h'.repeat(254) }],
    ['broker_url: expected a host of at most 253 characters', { broker_url: `mqtts://${'h'.repeat(254)}:8883` }],
  ])('G-9 rejects a stored config that no broker accepts: %s', (message, config) => {
    expect(() => gatewayBrokerConfig('mqtt', gateway(config))).toThrow(
      expect.objectContaining({
        name: 'GatewayConfigError',
        message: expect.stringMatching(new RegExp(`^gateway_config: ${message}`)),
      }),
    )
  })

  it('W-7 has a client certificate, and retained messages only if they are wanted', () => {
    const config = { ...TLS, retained: true }
    expect(gatewayBrokerConfig('mqtt', gateway(config))).toMatchObject({ cert: CERT, key: KEY, retained: true })
    expect(gatewayBrokerConfig('emqx', gateway({ host: 'b' }))).toMatchObject({ cert: undefined, retained: false })
    expect(gatewayBrokerConfig('ttn', gateway(TLS))).toMatchObject({ cert: CERT, key: KEY, retained: false })
  })

  it('runs with a stored URL and topic that can no longer be written', () => {
    const config = { broker_url: 'mqtt://u:p@b/x', port: 1, topic: 'o1//d1', other: 1 }
    expect(gatewayBrokerConfig('mqtt', gateway(config))).toMatchObject({
      brokerUrl: 'mqtt://u:p@b/x',
      topicFilter: 'o1//d1',
    })
  })

  it('O-42 masks the password and the key of a client certificate', () => {
    expect(maskSecrets({ ...TLS, password: 'hunter2' })).toEqual({ ...TLS, key: '***', password: '***' })
  })

  it('O-42 does not repeat values in errors', () => {
    expect(() =>
      gatewayBrokerConfig('mqtt', gateway({ broker_url: 'secret', password: 'hunter2', key: 'k3y' })),
    ).toThrow(expect.objectContaining({ message: expect.not.stringMatching(/secret|hunter2|k3y/) }))
  })
})

describe('the check of a config before it is stored', () => {
  it.each([
    ['mqtt', { broker_url: 'mqtts://b', username: 'u', password: 'p', ca: CERT, topic: 'o1/+/#', retained: true }],
    ['chirpstack', TLS],
    ['EMQX', { host: 'mqtt.example.com' }],
    ['emqx', {}],
    ['ChirpStack', { host: 'b', port: 8883, application_id: '17c82e96-be03-4f38-aef3-f83d48582d97' }],
    ['ttn', { broker_url: 'mqtts://eu1.cloud.thethings.network:8883', application_id: 'app1@ttn' }],
    ['mqtt', { host: 'b', username: LONG.slice(1) + 'a', password: LONG.slice(1) + 'a' }],
    ['print', { site: 'roof', anything: [1] }],
  ])('G-16 accepts a gateway of type %s with %j', (gatewayType, gatewayConfig) => {
    expect(() => checkGatewayConfig({ organizationId: 'o1', gatewayType, gatewayConfig })).not.toThrow()
  })

  it.each([
    ['mqqt', {}, 'gateway_type must be one of mqtt, emqx, chirpstack, ttn, print, not "mqqt"'],
    ['constructor', {}, 'gateway_type must be one of'],
    ['mqtt', { hots: 'b' }, 'gateway_config: hots: unknown key; did you mean "host"?'],
    ['mqtt', { host: 'b', port: 0 }, 'gateway_config: port: '],
    ['mqtt', { host: 'b', broker_url: 'mqtt://b' }, 'expected "broker_url"'],
    ['mqtt', { topic: 'a/+' }, 'expected "broker_url"'],
    ['mqtt', { host: 'b', topic: 'a/b+' }, 'gateway_config: topic: expected an MQTT topic filter'],
    ['mqtt', { host: 'b', topic: '#/a' }, 'gateway_config: topic: expected an MQTT topic filter'],
    ['mqtt', { host: 'b', topic: 'a'.repeat(65_536) }, 'gateway_config: topic: expected an MQTT topic filter'],
    [
      'mqtt',
      { host: 'b', topic: 'site/+' },
      'gateway_config: topic: expected a filter that matches o1/{end_device_id}',
    ],
    ['mqtt', { host: 'b', application_id: 'x' }, 'application_id: unknown key; expected one of broker_url, host, port'],
    ['chirpstack', { host: 'b', topic: 'x' }, 'topic: unknown key; expected one of'],
    ['ttn', { host: 'b', application_id: 'a/b' }, 'gateway_config: application_id: expected the id of an application'],
    ['ttn', { host: 'b', application_id: '+' }, 'gateway_config: application_id: expected the id of an application'],
    ['ttn', { host: 7 }, 'gateway_config: host: '],
    ['mqtt', { ...TLS, ca: 'pem' }, 'gateway_config: ca: expected PEM: -----BEGIN CERTIFICATE-----'],
    ['mqtt', { ...TLS, cert: KEY }, 'gateway_config: cert: expected PEM: -----BEGIN CERTIFICATE-----'],
    ['mqtt', { ...TLS, key: CERT }, 'gateway_config: key: expected PEM: -----BEGIN PRIVATE KEY-----'],
    ['mqtt', { broker_url: 'mqtts://b', cert: CERT }, 'gateway_config: expected both "cert" and "key"'],
    ['ttn', { broker_url: 'mqtts://b', key: KEY }, 'gateway_config: expected both "cert" and "key"'],
    ['mqtt', { ...TLS, broker_url: 'mqtt://b' }, 'gateway_config: expected a "broker_url" with mqtts://'],
    ['chirpstack', { host: 'b', cert: CERT, key: KEY }, 'gateway_config: expected a "broker_url" with mqtts://'],
    ['mqtt', { host: 'b', password: 'p' }, 'gateway_config: expected a "username" for "password"'],
    ['ttn', { host: 'b', username: LONG }, 'gateway_config: username: expected at most 65,535 bytes'],
    ['mqtt', { host: 'b', username: 'u', password: LONG }, 'gateway_config: password: expected at most 65,535 bytes'],
    ['mqtt', { host: 'b', topic: `o1/${LONG}` }, 'gateway_config: topic: expected an MQTT topic filter'],
    ['mqtt', { host: 'h'.repeat(254) }, 'gateway_config: host: expected at most 253 characters'],
    ['mqtt', { host: 'b', retained: 1 }, 'gateway_config: retained: '],
    ['ttn', { host: 'b', retained: true }, 'retained: unknown key; expected one of'],
  ])('G-16 rejects a gateway of type %s with %.60j', (gatewayType, gatewayConfig, message) => {
    const refused = expect.objectContaining({ code: 'invalid_argument', message: expect.stringContaining(message) })
    expect(() => checkGatewayConfig({ organizationId: 'o1', gatewayType, gatewayConfig })).toThrow(refused)
  })

  it('G-16 names at most five problems', () => {
    const gatewayConfig = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`${index}`.repeat(1000), 1]))
    const message = expect.stringMatching(/^gateway_config: .{1,1000}$/)
    expect(() => checkGatewayConfig({ organizationId: 'o1', gatewayType: 'mqtt', gatewayConfig })).toThrow(
      expect.objectContaining({ message }),
    )
  })

  it.each([
    ['chirpstack', {}, 'application/+/device/+/event/up'],
    ['chirpstack', { application_id: 'a1' }, 'application/a1/device/+/event/up'],
    ['ttn', {}, 'v3/+/devices/+/up'],
    ['ttn', { application_id: 'app1@ttn' }, 'v3/app1@ttn/devices/+/up'],
  ] as const)('G-8 a gateway of type %s with %j subscribes to %s', (type, config, topicFilter) => {
    expect(gatewayBrokerConfig(type, gateway({ host: 'b', ...config })).topicFilter).toBe(topicFilter)
  })
})

import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { JsonObject } from '../../src/domain/entities.ts'
import { connectMqttPublisher } from '../../src/mqtt/client.ts'
import { decodeRawEnvelope } from '../../src/proto/envelope.ts'
import { builtProgram, type Outcome, Program, projectRoot } from '../../test/rig/program.ts'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'
import type { RunningService } from '../../test/rig/gateways/running-service.ts'
import { CHIRPSTACK_UPLINK, TTN_UPLINK } from '../../test/rig/gateways/network-server.ts'

const CHIRPSTACK_TOPIC = 'application/17c82e96-be03-4f38-aef3-f83d48582d97/device/70b3d57ed0000001/event/up'

const rig = GatewayRig.forEach()

/** Runs a gateway of the type, and returns the service and a function that publishes as its network server does. */
async function serve(gatewayType: string, config: JsonObject = {}) {
  const gatewayId = `g${randomUUID()}`
  const gatewayConfig = { broker_url: rig.brokerUrl, ...config }
  await rig.insert(gateway(gatewayId, 1, { gatewayType, gatewayConfig }))
  const service = await rig.serve()
  await service.until(gatewayId, 'running')
  const client = await connectMqttPublisher({ brokerUrl: rig.brokerUrl, clientId: randomUUID() })
  onTestFinished(() => client.close())
  const publish = (topic: string, body: unknown): Promise<void> =>
    client.publish(topic, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)))
  return { service, gatewayId, publish }
}

/** Returns the config of a recipe in docs/gateways.md, with the broker of the test. */
async function recipe(title: string): Promise<JsonObject> {
  const text = await readFile(join(projectRoot, 'docs/gateways.md'), 'utf8')
  const [, section = ''] = text.split(`### ${title}\n`)
  const [, json = ''] = /```json\n(.*?)```/s.exec(section) ?? []
  const config: JsonObject = JSON.parse(json)
  return { ...config, broker_url: rig.brokerUrl }
}

async function insertDevice(deviceId: string, externalId: string, organizationId = 'o1'): Promise<void> {
  const text = 'INSERT INTO end_devices (device_id, organization_id, external_id) VALUES ($1, $2, $3)'
  await rig.database.sql(text, [deviceId, organizationId, externalId])
}

async function replay(): Promise<Outcome> {
  const { host, port, username, password, database } = rig.database.options
  const env = {
    PATH: process.env['PATH'],
    PONIX_NATS_URL: rig.nats.url,
    PONIX_POSTGRES_HOST: host,
    PONIX_POSTGRES_PORT: String(port),
    PONIX_POSTGRES_DATABASE: database,
    PONIX_POSTGRES_USERNAME: username,
    PONIX_POSTGRES_PASSWORD: password,
  }
  const args = [builtProgram('analytics'), 'dead-letters', 'replay', '--reason', 'external_id']
  return await new Program(process.execPath, args, { env }).outcome
}

async function dropped(service: RunningService): Promise<number | undefined> {
  return await service.metric('ponix_nats_dead_letters_total{cause="unknown_device",outcome="dropped"}')
}

describe('G-8: a gateway of a network server', () => {
  test('of type chirpstack publishes an uplink as an envelope of the device with its DevEUI, once', async () => {
    await insertDevice('d2', '70b3d57ed0000001', 'o2')
    await insertDevice('d1', '70b3d57ed0000001')
    const { publish } = await serve('chirpstack', await recipe('ChirpStack v4'))
    const time = new Date(Date.now() - 60_000).toISOString()
    for (const topic of [CHIRPSTACK_TOPIC, CHIRPSTACK_TOPIC.replace('event/up', 'event/join'), CHIRPSTACK_TOPIC])
      await publish(topic, { ...CHIRPSTACK_UPLINK, time })
    await publish(CHIRPSTACK_TOPIC, { ...CHIRPSTACK_UPLINK, deduplicationId: 'another', fCnt: 5, time })
    const envelopes = await rig.untilEnvelopes(2)
    expect(envelopes).toMatchObject([
      {
        organizationId: 'o1',
        endDeviceId: 'd1',
        receivedAt: BigInt(Date.parse(time)) * 1000n,
        uplink: { fPort: 1, fCnt: 4, metadata: { rssi: -101, gatewayId: '0016c001f153a14d', frequency: 867_100_000 } },
      },
      { uplink: { fCnt: 5 } },
    ])
    expect(Buffer.from(envelopes[0]?.payload ?? []).toString('hex')).toBe('006700ff')
    expect((await rig.stored('raw_envelopes')).map(({ subject }) => subject)).toEqual([
      'raw_envelopes.d1',
      'raw_envelopes.d1',
    ])
  })

  test('of type ttn publishes the uplinks of its application', async () => {
    await insertDevice('d1', '70b3d57ed0000001')
    await insertDevice('d2', 'dev2')
    const { publish, service, gatewayId } = await serve('TTN', await recipe('The Things Stack v3'))
    const topic = 'v3/app1@ttn/devices/+/up'
    const topics = expect.arrayContaining([topic, 'v3/app1@ttn/devices/+/join'])
    expect(await service.gateways()).toMatchObject({ [gatewayId]: { topics } })
    expect(service.lines.filter(({ msg }) => msg.startsWith('gateway running'))).toMatchObject([{ topic }])
    await publish('v3/app2@ttn/devices/dev1/up', TTN_UPLINK)
    await publish('v3/app1@ttn/devices/dev1/join', TTN_UPLINK)
    await publish('v3/app1@ttn/devices/dev1/up', TTN_UPLINK)
    const ids = { device_id: 'dev2' }
    await publish('v3/app1@ttn/devices/dev2/up', { ...TTN_UPLINK, end_device_ids: ids })
    const envelopes = await rig.untilEnvelopes(2)
    const metadata = { rssi: -35, gateway_id: 'gtw1', data_rate: { lora: { spreading_factor: 7 } } }
    expect(envelopes).toMatchObject([
      { endDeviceId: 'd1', uplink: { fPort: 1, fCnt: 16, metadata } },
      { endDeviceId: 'd2', uplink: { fPort: 1, fCnt: 16, metadata } },
    ])
  })
})

test.each([
  [
    'chirpstack',
    'application/a/device/70b3d57ed0000001/event/',
    ['join', 'status', 'txack', 'status'],
    { join: 1, status: 2, txack: 1 },
  ],
  [
    'ttn',
    'v3/app1@ttn/devices/dev1/',
    ['down/sent', 'join', 'down/ack', 'service/data'],
    { join: 1, down: 2, service: 1 },
  ],
])('G-8: the other events of a gateway of type %s are counted and not stored', async (type, prefix, kinds, events) => {
  const { gatewayId, service, publish } = await serve(type)
  for (const kind of kinds) await publish(`${prefix}${kind}`, '{')
  await expect.poll(() => service.gateways(), WAIT).toMatchObject({ [gatewayId]: { events, messages: 0, refused: {} } })
  const joins = `ponix_gateway_events_total{gateway_id="${gatewayId}",kind="join"}`
  expect(await service.metric(joins)).toBe(1)
  for (const stream of ['raw_envelopes', 'dead_letters']) expect(await rig.stored(stream)).toEqual([])
})

describe('G-17: uplinks that cannot be envelopes', () => {
  test('of an unknown device become one dead letter per minute, which can be replayed once the device exists', async () => {
    const { service, gatewayId, publish } = await serve('chirpstack')
    for (const deduplicationId of ['1', '2', '3'])
      await publish(CHIRPSTACK_TOPIC, { ...CHIRPSTACK_UPLINK, deduplicationId })
    await expect.poll(() => dropped(service), WAIT).toBe(2)
    const [letter, ...more] = await rig.stored('dead_letters')
    expect(more).toEqual([])
    const missing = 'organization o1 has no end device with external_id 70b3d57ed0000001'
    expect(letter?.header('Ponix-Reason')).toBe(`gateway ${gatewayId}: ${missing}; create it and replay`)
    expect(letter?.header('Ponix-Original-Subject')).toBe(CHIRPSTACK_TOPIC)
    expect(decodeRawEnvelope(letter?.body ?? new Uint8Array())).toMatchObject({
      endDeviceId: '70b3d57ed0000001',
      uplink: { fCnt: 4 },
    })
    expect(await replay()).toMatchObject({ code: 1, stderr: expect.stringContaining(missing) })
    await insertDevice('d1', '70b3d57ed0000001')
    expect(await replay()).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('1 replayed') })
    const [envelope] = await rig.untilEnvelopes(1)
    expect(envelope).toMatchObject({ organizationId: 'o1', endDeviceId: 'd1', uplink: { fPort: 1, fCnt: 4 } })
    expect(await rig.stored('dead_letters')).toEqual([])
  })

  test('are dead letters with a reason, and the gateway continues', async () => {
    await insertDevice('d1', '70b3d57ed0000001')
    const { service, gatewayId, publish } = await serve('chirpstack')
    const bodies = ['{', { applicationID: '1', devEUI: 'cLPVftAAAAE=' }, { ...CHIRPSTACK_UPLINK, data: '*' }]
    for (const body of bodies) await publish(CHIRPSTACK_TOPIC, body)
    await publish(CHIRPSTACK_TOPIC, CHIRPSTACK_UPLINK)
    await rig.untilEnvelopes(1)
    const letters = await rig.stored('dead_letters')
    const prefix = `gateway ${gatewayId}: not an uplink of ChirpStack v4: `
    expect(letters.map((letter) => letter.header('Ponix-Reason').slice(0, prefix.length + 8))).toEqual([
      `${prefix}not JSON`,
      `${prefix}it is an`,
      `${prefix}data: ex`,
    ])
    expect(Buffer.from(letters[0]?.body ?? []).toString()).toBe('{')
    expect(service.history(gatewayId)).toEqual(['running (chirpstack)', expect.stringMatching(/^refused messages/)])
  })
})

test('G-8: an uplink waits while PostgreSQL is away, and is stored afterwards', async () => {
  await insertDevice('d1', '70b3d57ed0000001')
  const { gatewayId, service, publish } = await serve('chirpstack')
  await rig.postgres.kill()
  await publish(CHIRPSTACK_TOPIC, CHIRPSTACK_UPLINK)
  await rig.postgres.start()
  expect(await rig.untilEnvelopes(1)).toMatchObject([{ endDeviceId: 'd1' }])
  expect(service.history(gatewayId)).toEqual(['running (chirpstack)'])
})

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { connectMqttPublisher } from '../../src/mqtt/client.ts'
import type { Gateway, JsonObject } from '../../src/domain/entities.ts'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'
import type { RunningService } from '../../test/rig/gateways/running-service.ts'
import { type BrokerConduct, type BrokerMessage, ScriptedBroker } from '../../test/rig/gateways/scripted-broker.ts'

// The tests are concurrent and share the service: each has its own brokers and device.
let rig: GatewayRig
let service: RunningService
const brokers: ScriptedBroker[] = []

beforeAll(async () => {
  rig = await GatewayRig.start()
  await rig.begin()
  service = await rig.serve()
})
afterAll(async () => {
  await rig.end()
  for (const each of brokers) await each[Symbol.asyncDispose]()
  await rig[Symbol.asyncDispose]()
})

async function broker(conduct: BrokerConduct): Promise<ScriptedBroker> {
  const started = await ScriptedBroker.start(conduct)
  brokers.push(started)
  return started
}

/** Creates a gateway that is subscribed to the broker. */
async function createGateway(brokerUrl: string, config: JsonObject = {}): Promise<Gateway> {
  const gatewayConfig = { broker_url: brokerUrl, ...config }
  const own = gateway(`g${randomUUID()}`, 1, { gatewayType: 'mqtt', gatewayConfig })
  await rig.insert(own)
  await rig.publishEvent('create', own)
  return own
}

/** Returns the payloads of a device's envelopes in the order of the stream, when there are at least so many. */
async function payloads(device: string, count: number): Promise<readonly string[]> {
  const stored = async (): Promise<readonly string[]> => {
    const envelopes = await rig.untilEnvelopes(1)
    const own = envelopes.filter(({ endDeviceId }) => endDeviceId === device)
    return own.map(({ payload }) => Buffer.from(payload).toString())
  }
  await vi.waitUntil(async () => (await stored()).length >= count, WAIT)
  return await stored()
}

/** Asserts that a gateway of the rig's broker receives a message. */
async function expectDelivery(device: string, payload: string): Promise<void> {
  const client = await connectMqttPublisher({ brokerUrl: rig.brokerUrl, clientId: randomUUID() })
  await client.publish(`o1/${device}`, Buffer.from(payload))
  await client.close()
  expect(await payloads(device, 1)).toEqual([payload])
}

const message = (device: string, payload: string, more: Partial<BrokerMessage> = {}): BrokerMessage => ({
  topic: `o1/${device}`,
  payload,
  ...more,
})

describe.concurrent('a broker', () => {
  test('G-9: that accepts a connection and never answers does not disturb others, and its gateway runs once it answers', async () => {
    const silent = await broker('silent')
    const [own, good] = [await createGateway(silent.url), await createGateway(rig.brokerUrl)]
    await service.until(good.gatewayId, 'running')
    await expectDelivery('silent', 'beside')
    await service.until(own.gatewayId, 'no answer from the broker within 10 s')
    silent.conduct = 'serve'
    await service.until(own.gatewayId, 'running')
    expect(service.history(good.gatewayId)).toEqual(['running (mqtt)'])
  })

  test('G-9: that refuses for many attempts does not end its gateway, which runs when it is accepted', async () => {
    const refusing = await broker('refuse')
    const own = await createGateway(refusing.url)
    await service.until(own.gatewayId, 'failing')
    expect(await service.gateways()).toMatchObject({
      [own.gatewayId]: { state: 'failing', last_error: expect.stringContaining('bad username or password') },
    })
    expect(refusing.connects).toBeGreaterThanOrEqual(4)
    refusing.onSubscribed = (connection) => connection.publish(1, message('refused', 'accepted'))
    refusing.conduct = 'serve'
    await service.until(own.gatewayId, 'running')
    expect(await payloads('refused', 1)).toEqual(['accepted'])
    expect(await service.gateways()).toMatchObject({ [own.gatewayId]: { state: 'running', retries: 0 } })
  })

  test('G-8: that closes the connection after each acknowledgement delivers every message', async () => {
    const dropping = await broker('serve')
    let next = 1
    dropping.onSubscribed = (connection) => {
      if (next <= 3) connection.publish(next, message('dropped', String(next)))
    }
    dropping.onAcknowledged = (connection) => {
      next += 1
      connection.drop()
    }
    const own = await createGateway(dropping.url)
    expect(await payloads('dropped', 3)).toEqual(['1', '2', '3'])
    expect(dropping.acknowledged).toEqual([1, 2, 3])
    await service.until(own.gatewayId, 'running', 4)
  })

  test('G-8: that sends retained messages has them acknowledged and not stored, except for a gateway that wants them', async ({
    expect,
  }) => {
    const [skipped, wanted] = [await broker('serve'), await broker('serve')]
    for (const each of [skipped, wanted]) {
      each.onSubscribed = (connection) => {
        connection.publish(1, message('retained', 'old', { retain: true }))
        connection.publish(2, message('retained', 'new'))
      }
    }
    await createGateway(skipped.url)
    expect(await payloads('retained', 1)).toEqual(['new'])
    await expect.poll(() => skipped.acknowledged).toEqual([1, 2])
    await createGateway(wanted.url, { retained: true })
    expect(await payloads('retained', 3)).toEqual(['new', 'old', 'new'])
    await expect.poll(() => wanted.acknowledged).toEqual([1, 2])
  })

  test('G-8: that sends two equal messages, neither as a redelivery, has both stored', async ({ expect }) => {
    const repeating = await broker('serve')
    repeating.onSubscribed = (connection) => {
      for (const id of [1, 2]) connection.publish(id, message('repeated', '21.5'))
    }
    await createGateway(repeating.url)
    expect(await payloads('repeated', 2)).toEqual(['21.5', '21.5'])
    await expect.poll(() => repeating.acknowledged).toEqual([1, 2])
  })
})

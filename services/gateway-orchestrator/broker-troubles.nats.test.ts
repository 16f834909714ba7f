import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { connectMqttPublisher } from '../../src/mqtt/client.ts'
import type { Gateway, JsonObject } from '../../src/domain/entities.ts'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'
import { type BrokerConduct, type BrokerMessage, ScriptedBroker } from '../../test/rig/gateways/scripted-broker.ts'

let rig: GatewayRig

beforeAll(async () => {
  rig = await GatewayRig.start()
})
afterAll(() => rig[Symbol.asyncDispose]())
beforeEach(() => rig.begin())
afterEach(() => rig.end())

async function broker(conduct: BrokerConduct): Promise<ScriptedBroker> {
  const started = await ScriptedBroker.start(conduct)
  onTestFinished(() => started[Symbol.asyncDispose]())
  return started
}

function subscribed(brokerUrl: string, config: JsonObject = {}): Gateway {
  return gateway(`g${randomUUID()}`, 1, { gatewayType: 'mqtt', gatewayConfig: { broker_url: brokerUrl, ...config } })
}

async function insertGateway(brokerUrl: string): Promise<Gateway> {
  const own = subscribed(brokerUrl)
  await rig.insert(own)
  return own
}

/** Returns the payloads of the envelopes in the order of the stream, when there are at least so many. */
async function payloads(count: number): Promise<readonly string[]> {
  return (await rig.untilEnvelopes(count)).map(({ payload }) => Buffer.from(payload).toString())
}

/** Asserts that a gateway of the rig's broker receives a message. */
async function expectDelivery(payload: string): Promise<void> {
  const client = await connectMqttPublisher({ brokerUrl: rig.brokerUrl, clientId: randomUUID() })
  await client.publish('o1/d1', Buffer.from(payload))
  await client.close()
  expect(await payloads(1)).toEqual([payload])
}

const message = (payload: string, more: Partial<BrokerMessage> = {}): BrokerMessage => ({
  topic: 'o1/d1',
  payload,
  ...more,
})

describe('a broker', () => {
  test('G-9: that accepts a connection and never answers does not disturb others, and its gateway runs once it answers', async () => {
    const silent = await broker('silent')
    const [own, good] = [await insertGateway(silent.url), await insertGateway(rig.brokerUrl)]
    const service = await rig.serve()
    await service.until(good.gatewayId, 'running')
    await expectDelivery('beside')
    await service.until(own.gatewayId, 'no answer from the broker within 10 s')
    silent.conduct = 'serve'
    await service.until(own.gatewayId, 'running')
    expect(service.history(good.gatewayId)).toEqual(['running (mqtt)'])
  })

  test('G-9: that refuses for many attempts does not end its gateway, which runs when it is accepted', async () => {
    const refusing = await broker('refuse')
    const own = await insertGateway(refusing.url)
    const service = await rig.serve()
    await service.until(own.gatewayId, 'failing')
    await expect.poll(() => refusing.connects, WAIT).toBeGreaterThanOrEqual(6)
    expect(await service.gateways()).toMatchObject({
      [own.gatewayId]: { state: 'failing', last_error: expect.stringContaining('bad username or password') },
    })
    refusing.onSubscribed = (connection) => connection.publish(1, message('accepted'))
    refusing.conduct = 'serve'
    await service.until(own.gatewayId, 'running')
    expect(await payloads(1)).toEqual(['accepted'])
    expect(await service.gateways()).toMatchObject({ [own.gatewayId]: { state: 'running', retries: 0 } })
  })

  test('G-8: that closes the connection after each acknowledgement delivers every message', async () => {
    const dropping = await broker('serve')
    let next = 1
    dropping.onSubscribed = (connection) => {
      if (next <= 3) connection.publish(next, message(String(next)))
    }
    dropping.onAcknowledged = (connection) => {
      next += 1
      connection.drop()
    }
    const own = await insertGateway(dropping.url)
    const service = await rig.serve()
    expect(await payloads(3)).toEqual(['1', '2', '3'])
    expect(dropping.acknowledged).toEqual([1, 2, 3])
    await service.until(own.gatewayId, 'running', 4)
  })

  test('G-8: that sends retained messages has them acknowledged and not stored, except for a gateway that wants them', async () => {
    const [skipped, wanted] = [await broker('serve'), await broker('serve')]
    for (const each of [skipped, wanted]) {
      each.onSubscribed = (connection) => {
        connection.publish(1, message('old', { retain: true }))
        connection.publish(2, message('new'))
      }
    }
    await insertGateway(skipped.url)
    await rig.serve()
    expect(await payloads(1)).toEqual(['new'])
    await expect.poll(() => skipped.acknowledged).toEqual([1, 2])
    await rig.publishEvent('create', subscribed(wanted.url, { retained: true }))
    expect(await payloads(3)).toEqual(['new', 'old', 'new'])
    await expect.poll(() => wanted.acknowledged).toEqual([1, 2])
  })

  test('G-8: that sends two equal messages, neither as a redelivery, has both stored', async () => {
    const repeating = await broker('serve')
    repeating.onSubscribed = (connection) => {
      for (const id of [1, 2]) connection.publish(id, message('21.5'))
    }
    await insertGateway(repeating.url)
    await rig.serve()
    expect(await payloads(2)).toEqual(['21.5', '21.5'])
    await expect.poll(() => repeating.acknowledged).toEqual([1, 2])
  })
})

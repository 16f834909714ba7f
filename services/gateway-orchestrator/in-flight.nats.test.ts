import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { connectMqttPublisher } from '../../src/mqtt/client.ts'
import { startMosquitto } from '../../test/rig/servers.ts'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'

const LIMIT = 8_000_000
const FLOODED = 16
const MESSAGES = 16
const BYTES = 64 * 1024

const rig = GatewayRig.forEach(startMosquitto)

/** Inserts a gateway with a connection of its own, because it belongs to a shard of its own. */
async function insertGateway(organizationId: string, device: string): Promise<void> {
  const gatewayConfig = { broker_url: rig.brokerUrl, topic: `${organizationId}/${device}` }
  await rig.insert(gateway(device, 1, { organizationId, gatewayType: 'mqtt', gatewayConfig }))
}

test('B-2: while NATS is away, large messages over many connections stay within the limit, and all are stored once afterwards', async () => {
  const devices = Array.from({ length: FLOODED }, (_, number) => `flood${number}`)
  for (const device of devices) await insertGateway('o1', device)
  await insertGateway('o2', 'other')
  const service = await rig.serve({ PONIX_GATEWAY_ORCHESTRATOR_MAX_IN_FLIGHT_BYTES: String(LIMIT) })
  for (const device of [...devices, 'other']) await service.until(device, 'running')
  const client = await connectMqttPublisher({ brokerUrl: rig.brokerUrl, clientId: randomUUID() })
  onTestFinished(() => client.close())
  await rig.nats.stop()
  for (let number = 0; number < MESSAGES; number += 1) {
    for (const device of devices) await client.publish(`o1/${device}`, Buffer.alloc(BYTES, `${device}-${number};`))
  }
  await expect.poll(() => service.metric('ponix_mqtt_waiting_connections'), WAIT).toBe(FLOODED)
  const bytes = (): Promise<number | undefined> => service.metric('ponix_mqtt_in_flight_bytes')
  // The others have the other half of the limit.
  expect(await bytes()).toBeLessThan(LIMIT / 2 + FLOODED * BYTES)
  const before = await bytes()
  await client.publish('o2/other', Buffer.alloc(BYTES, 'other;'))
  await expect.poll(bytes, WAIT).toBeGreaterThan((before ?? 0) + BYTES)

  await rig.nats.start()
  await rig.client.link.untilConnected(new AbortController().signal)
  const envelopes = await rig.untilEnvelopes(FLOODED * MESSAGES + 1)
  const contents = envelopes.map(({ payload }) => Buffer.from(payload).toString().split(';')[0])
  const sent = devices.flatMap((device) => Array.from({ length: MESSAGES }, (_, number) => `${device}-${number}`))
  expect(contents).toHaveLength(sent.length + 1)
  expect(new Set(contents)).toEqual(new Set([...sent, 'other']))
  await expect.poll(bytes, WAIT).toBe(0)
})

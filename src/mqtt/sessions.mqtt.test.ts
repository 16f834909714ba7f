import { expect, inject, it } from 'vitest'
import { brokerAt, publisherTo, subscribe } from '../../test/rig/adapters/mqtt-subscription.ts'
import { MqttSessions } from './sessions.ts'

const GATEWAYS = Number(process.env['PONIX_MQTT_GATEWAYS'] ?? 300)
const SHARDS = 64

it('G-12 many gateways of one organization at one broker each receive their own messages', async () => {
  const { host, port } = inject('mqtt')
  const broker = brokerAt(`mqtt://${host}:${port}`)
  const sessions = new MqttSessions(() => 1024)
  const gateways = Array.from({ length: GATEWAYS }, (_, number) => {
    const place = { shard: number % SHARDS, organizationId: 'many' }
    const subscription = { broker, topicFilter: `many/${number}`, isRemoved: true }
    return subscribe((...args) => sessions.subscribe(place, ...args), subscription)
  })
  for (const { states } of gateways) expect(await states.next()).toBe('subscribed')
  const publisher = await publisherTo(broker.brokerUrl)
  for (const number of gateways.keys()) await publisher.publish(`many/${number}`, Buffer.from(String(number)))
  for (const [number, { messages }] of gateways.entries()) {
    const { text, acknowledge } = await messages.next()
    expect(text).toBe(String(number))
    acknowledge()
  }
  await Promise.all(gateways.map(({ stop }) => stop()))
})

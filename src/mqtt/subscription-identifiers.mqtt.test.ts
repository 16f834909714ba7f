import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { brokerAt, publisherTo, sessionWith, subscribe } from '../../test/rig/adapters/mqtt-subscription.ts'
import { type MqttAddress, startMosquitto } from '../../test/rig/servers.ts'

const urlOf = ({ host, port }: MqttAddress): string => `mqtt://${host}:${port}`

describe('a session with MQTT 5', () => {
  async function subscribed(broker: MqttAddress, session = sessionWith()) {
    const place = { broker: brokerAt(urlOf(broker)), topicFilter: 'o1/+' }
    const subscription = subscribe((...args) => session.subscribe(...args), place)
    expect(await subscription.states.next()).toBe('subscribed')
    return subscription
  }

  it('G-8 gives a message the same identifiers again, and others after the broker has lost the session', async () => {
    await using broker = await startMosquitto()
    const clientId = randomUUID()
    const first = await subscribed(broker, sessionWith({ clientId }))
    await (await publisherTo(urlOf(broker))).publish('o1/d1', Buffer.from('equal'))
    const original = await first.messages.next()
    original.fail(new Error('not stored'))
    await expect(first.ended).rejects.toThrow('not stored')

    const { messages, states, stop } = await subscribed(broker, sessionWith({ clientId }))
    const again = await messages.next()
    expect(again.message).toMatchObject({ dup: true, identifiers: original.message.identifiers })
    again.acknowledge()
    await broker.kill()
    await broker.start()
    for (let state = ''; state !== 'subscribed';) state = await states.next()
    await (await publisherTo(urlOf(broker))).publish('o1/d1', Buffer.from('equal'))
    const other = await messages.next()
    expect(other.message.packetId).toBe(original.message.packetId)
    expect(other.message.identifiers).not.toEqual(original.message.identifiers)
    other.acknowledge()
    await stop()
  })

  it('G-8 renews the identifiers before the broker uses a packet id again', async () => {
    await using broker = await startMosquitto()
    const { messages, stop } = await subscribed(broker)
    const publisher = await publisherTo(urlOf(broker))
    const used = new Set<number>()
    let count = 0
    while (used.size < 2) {
      const batch = 1000
      const published = Array.from({ length: batch }, () => publisher.publish('o1/d1', Buffer.from('equal')))
      for (let number = 0; number < batch; number += 1) {
        const { message, acknowledge } = await messages.next()
        for (const identifier of message.identifiers) used.add(identifier)
        acknowledge()
      }
      await Promise.all(published)
      count += batch
      expect(count).toBeLessThan(32_768)
    }
    await stop()
  }, 60_000)
})

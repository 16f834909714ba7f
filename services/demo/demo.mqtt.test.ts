import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { expect, inject, it, onTestFinished } from 'vitest'
import { connectMqttPublisher, runMqttSubscription } from '../../src/mqtt/client.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { publishMessages } from './demo.ts'
import { DEMO_DEVICES } from './inventory.ts'

it('E-6: every device publishes to its own topic in turn', async () => {
  const { host, port } = inject('mqtt')
  const brokerUrl = `mqtt://${host}:${port}`
  const organizationId = randomUUID()
  const devices = DEMO_DEVICES.map((demo, index) => ({ deviceId: `d${index}`, demo }))
  const stop = new AbortController()
  const topics: string[] = []
  const received = new EventTarget()
  let subscription: Promise<void> | undefined
  await new Promise<void>((onSubscribed) => {
    const onMessage = async ({ topic }: { readonly topic: string }): Promise<void> => {
      topics.push(topic)
      if (topics.length === devices.length * 2) received.dispatchEvent(new Event('enough'))
    }
    const session = { brokerUrl, clientId: randomUUID(), topicFilter: `${organizationId}/+` }
    const listener = { ...session, onMessage, onSubscribed, onConnectionLost: () => undefined }
    subscription = runMqttSubscription(listener, stop.signal)
  })
  const publisher = await connectMqttPublisher({ brokerUrl, clientId: randomUUID() })
  onTestFinished(() => publisher.close())
  const enough = once(received, 'enough')
  const inventory = { organizationId, devices }
  const publishing = publishMessages(
    { inventory, publisher, intervalMs: 10, logger: createLogger('demo') },
    stop.signal,
  )
  await enough
  stop.abort()
  await Promise.all([publishing, subscription])
  const turn = devices.map(({ deviceId }) => `${organizationId}/${deviceId}`)
  expect(topics.slice(0, turn.length * 2)).toEqual([...turn, ...turn])
})

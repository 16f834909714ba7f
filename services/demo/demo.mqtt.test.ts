import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { expect, inject, it, onTestFinished } from 'vitest'
import { brokerAt, sessionWith } from '../../test/rig/adapters/mqtt-subscription.ts'
import { connectMqttPublisher } from '../../src/mqtt/client.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { DEMO_APPLICATION_ID } from './chirpstack.ts'
import { publishMessages } from './demo.ts'
import { DEMO_DEVICES } from './inventory.ts'

it('E-6: every device publishes to its own topic in turn', async () => {
  const { host, port } = inject('mqtt')
  const brokerUrl = `mqtt://${host}:${port}`
  const organizationId = randomUUID()
  const eui = randomUUID().replaceAll('-', '').slice(0, 16)
  const devices = DEMO_DEVICES.map((demo, index) => ({
    deviceId: `d${index}`,
    demo: demo.devEui === undefined ? demo : { ...demo, devEui: eui },
  }))
  const topicOf = ({ deviceId, demo }: (typeof devices)[number]): string =>
    demo.devEui === undefined
      ? `${organizationId}/${deviceId}`
      : `application/${DEMO_APPLICATION_ID}/device/${demo.devEui}/event/up`
  const stop = new AbortController()
  const topics: string[] = []
  const received = new EventTarget()
  let subscription: Promise<void> | undefined
  await new Promise<void>((resolve) => {
    const onSubscribed = (): void => resolve()
    const onMessage = async ({ topic }: { readonly topic: string }): Promise<void> => {
      if (!topic.includes(eui) && !topic.startsWith(organizationId)) return
      topics.push(topic)
      if (topics.length === devices.length * 2) received.dispatchEvent(new Event('enough'))
    }
    const place = { broker: brokerAt(brokerUrl), topicFilter: '#', retained: false }
    const no = (): boolean => false
    const listener = {
      ...place,
      assertOwned: () => undefined,
      onMessage,
      finishUntil: AbortSignal.abort(),
      isRemoved: no,
      onSubscribed,
      onInterrupted: () => undefined,
    }
    subscription = sessionWith().subscribe(listener, stop.signal)
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
  const turn = devices.map(topicOf)
  expect(topics.slice(0, turn.length * 2)).toEqual([...turn, ...turn])
})

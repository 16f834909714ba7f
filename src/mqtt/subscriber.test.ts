import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import type { MqttMessage } from './message.ts'
import { Subscriber } from './subscriber.ts'

const message: MqttMessage = {
  origin: { clientId: 'client' },
  topic: 'a',
  payload: new Uint8Array(),
  omittedBytes: 0,
  dup: false,
  packetId: 1,
  retain: false,
  identifiers: [],
}
const broker = {
  brokerUrl: 'mqtt://broker',
  username: undefined,
  password: undefined,
  ca: undefined,
  cert: undefined,
  key: undefined,
}

it('G-12: many handlers can wait with their signal without a warning of a memory leak', async () => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  onTestFinished(() => void process.off('warning', onWarning))
  const subscriber = new Subscriber(
    {
      broker,
      topicFilter: '#',
      assertOwned: () => undefined,
      retained: false,
      onMessage: (_, signal) => sleep(86_400_000, undefined, { signal }).catch(() => undefined),
      finishUntil: AbortSignal.abort(),
      isRemoved: () => false,
      onSubscribed: () => undefined,
      onInterrupted: () => undefined,
    },
    () => undefined,
  )
  const handled = Array.from({ length: 20 }, () => new Promise((resolve) => subscriber.handle(message, resolve)))
  subscriber.end()
  await Promise.all(handled)
  // Warnings are emitted in a later turn.
  await sleep(0)
  expect(warnings).toEqual([])
})

import { expect, it, onTestFinished } from 'vitest'
import { messageOf } from '../domain/errors.ts'
import { brokerAt, sessionWith, subscribe, type SubscribeOptions } from '../../test/rig/adapters/mqtt-subscription.ts'
import { type BrokerConnection, ScriptedBroker } from '../../test/rig/gateways/scripted-broker.ts'

const LOST = 'another instance may run the gateway'

/** A session at a broker of its own, whose lease a test loses. */
async function scene({ isOld = false } = {}) {
  const broker = await ScriptedBroker.start('serve')
  onTestFinished(() => broker[Symbol.asyncDispose]())
  broker.isOld = isOld
  let connection: BrokerConnection | undefined
  broker.onSubscribed = (subscribed) => void (connection = subscribed)
  const lease = { isHeld: true }
  const assertOwned = (): void => {
    if (!lease.isHeld) throw new Error(LOST)
  }
  const session = sessionWith()
  const join = (
    topicFilter: string,
    { password, ...options }: { password?: string } & Partial<SubscribeOptions> = {},
  ) =>
    subscribe((...args) => session.subscribe(...args), {
      broker: brokerAt(broker.url, { username: 'u', password }),
      topicFilter,
      assertOwned,
      ...options,
    })
  return { broker, lease, join, drop: () => connection?.drop() }
}

/** Returns the first state of a subscription, or why it has ended before. */
async function outcomeOf({ states, ended }: ReturnType<typeof subscribe>): Promise<string> {
  const end = ended.then(() => 'ended', messageOf)
  return await Promise.race([states.next(), end])
}

it('G-13: a session whose lease is lost before the broker accepts the connection sends no CONNECT', async () => {
  const { broker, lease, join } = await scene()
  lease.isHeld = false
  expect(await outcomeOf(join('o1/+'))).toBe(LOST)
  expect(broker.connects).toBe(0)
})

it('G-13: a session whose lease is lost does not connect again until it is acquired', async () => {
  const { broker, lease, join, drop } = await scene()
  const { states } = join('o1/+')
  expect(await states.next()).toBe('subscribed')
  lease.isHeld = false
  drop()
  expect(await states.next()).toBe('interrupted: the broker closed the connection')
  expect(await states.next()).toBe(`interrupted: ${LOST}`)
  expect(broker.connects).toBe(1)
  lease.isHeld = true
  expect(await states.next()).toBe('subscribed')
})

it('G-13: a session whose lease is lost does not check the credentials of another gateway', async () => {
  const { broker, lease, join } = await scene()
  expect(await outcomeOf(join('o1/1', { password: 'one' }))).toBe('subscribed')
  lease.isHeld = false
  expect(await outcomeOf(join('o1/2', { password: 'other' }))).toBe(LOST)
  expect(broker.connects).toBe(1)
})

it('G-13: a session whose lease is lost is not ended for a removed gateway with MQTT 3.1.1', async () => {
  const { broker, lease, join } = await scene({ isOld: true })
  const gateway = join('o1/+', { isRemoved: true })
  expect(await outcomeOf(gateway)).toBe('subscribed')
  const { connects } = broker
  lease.isHeld = false
  await gateway.stop()
  expect(broker.connects).toBe(connects)
})

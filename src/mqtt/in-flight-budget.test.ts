import { expect, it, onTestFinished } from 'vitest'
import { brokerAt, subscribe } from '../../test/rig/adapters/mqtt-subscription.ts'
import { type BrokerConnection, ScriptedBroker } from '../../test/rig/gateways/scripted-broker.ts'
import { InFlightBudget } from './in-flight-budget.ts'
import { MqttSessions } from './sessions.ts'

const KIB = 1024
const LIMIT = 4 * KIB * KIB
const CONNECTIONS = 8
const MESSAGES = 32
const PAYLOAD = Buffer.alloc(64 * KIB)

/** Returns a subscription of a connection of its own, at a broker that sends it messages. */
async function receiver(sessions: MqttSessions, organizationId: string, shard: number) {
  const broker = await ScriptedBroker.start('serve')
  onTestFinished(() => broker[Symbol.asyncDispose]())
  const topic = `${organizationId}/d`
  let connection: BrokerConnection | undefined
  broker.onSubscribed = (subscribed) => {
    connection = subscribed
    for (let id = 1; id <= MESSAGES; id += 1) subscribed.publish(id, { topic, payload: PAYLOAD })
  }
  const place = { broker: brokerAt(broker.url), topicFilter: topic }
  const subscription = subscribe((...args) => sessions.subscribe({ shard, organizationId }, ...args), place)
  return { ...subscription, broker, drop: () => connection?.drop() }
}

function flood(sessions: MqttSessions) {
  return Promise.all(Array.from({ length: CONNECTIONS }, (_, shard) => receiver(sessions, 'flood', shard)))
}

/** Acknowledges everything that a subscription receives. */
async function acknowledgeAll({ messages }: Awaited<ReturnType<typeof receiver>>): Promise<void> {
  for (let count = 0; count < MESSAGES; count += 1) (await messages.next()).acknowledge()
}

it('B-2: the messages of many connections of an organization stay within its share, and others receive meanwhile', async () => {
  const budget = new InFlightBudget({ bytes: LIMIT })
  const sessions = new MqttSessions(() => KIB * KIB, budget)
  const flooded = await flood(sessions)
  await expect.poll(() => budget.waiting, { timeout: 50_000 }).toBe(CONNECTIONS)
  // Half of the limit, and the last message of each connection.
  expect(budget.bytes).toBeLessThanOrEqual(LIMIT / 2 + CONNECTIONS * (PAYLOAD.length + KIB))
  const other = await receiver(sessions, 'other', 0)
  await acknowledgeAll(other)
  await Promise.all(flooded.map(acknowledgeAll))
  await expect.poll(() => [budget.bytes, budget.waiting], { timeout: 50_000 }).toEqual([0, 0])
  const acknowledged = () => flooded.map(({ broker }) => broker.acknowledged.length)
  await expect.poll(acknowledged, { timeout: 50_000 }).toEqual(flooded.map(() => MESSAGES))
})

it('B-2: a connection whose organization uses its share receives one message, so that none is stopped by another', async () => {
  const budget = new InFlightBudget({ bytes: LIMIT })
  const sessions = new MqttSessions(() => KIB * KIB, budget)
  await flood(sessions)
  await expect.poll(() => budget.waiting, { timeout: 50_000 }).toBe(CONNECTIONS)
  const late = await receiver(sessions, 'flood', CONNECTIONS)
  await acknowledgeAll(late)
})

it('B-2: what handlers have counts until they end, also after its connection is lost', async () => {
  const budget = new InFlightBudget({ bytes: LIMIT })
  const sessions = new MqttSessions(() => KIB * KIB, budget)
  const first = await receiver(sessions, 'flood', 0)
  const held = await first.messages.take(8)
  expect(await first.states.next()).toBe('subscribed')
  first.broker.conduct = 'silent'
  first.drop()
  expect(await first.states.next()).toContain('interrupted')
  const bytes = budget.bytes
  expect(bytes).toBeGreaterThanOrEqual(8 * PAYLOAD.length)
  for (const { acknowledge } of held) acknowledge()
  await expect.poll(() => budget.bytes, { timeout: 50_000 }).toBeLessThanOrEqual(bytes - 8 * PAYLOAD.length)
})

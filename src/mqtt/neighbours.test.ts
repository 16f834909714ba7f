import { expect, it, onTestFinished } from 'vitest'
import { brokerAt, sessionWith, subscribe } from '../../test/rig/adapters/mqtt-subscription.ts'
import { type BrokerConnection, ScriptedBroker } from '../../test/rig/gateways/scripted-broker.ts'

const WAIT = { timeout: 20_000 }

/** Two gateways in one session: `slow`, which stops without waiting for its messages, and `other`. */
async function neighbours() {
  const broker = await ScriptedBroker.start('serve')
  onTestFinished(() => broker[Symbol.asyncDispose]())
  const connections: BrokerConnection[] = []
  broker.onSubscribed = (connection) => {
    if (!connections.includes(connection)) connections.push(connection)
  }
  const session = sessionWith()
  const join = (topicFilter: string) =>
    subscribe((...args) => session.subscribe(...args), {
      broker: brokerAt(broker.url),
      topicFilter,
      ...(topicFilter === 'o1/slow' ? { finishUntil: AbortSignal.abort() } : {}),
    })
  const [slow, other] = [join('o1/slow'), join('o1/other')]
  for (const { states } of [slow, other]) expect(await states.next()).toBe('subscribed')
  const newest = (): BrokerConnection => {
    const connection = connections.at(-1)
    if (connection === undefined) throw new Error('no connection')
    return connection
  }
  return { broker, slow, other, newest }
}

it('G-8: while the messages of a gateway wait, those of its session are handled, and acknowledged in order afterwards', async () => {
  const { broker, slow, other, newest } = await neighbours()
  for (let id = 1; id <= 200; id += 1) newest().publish(id, { topic: 'o1/slow', payload: 'waits' })
  newest().publish(201, { topic: 'o1/other', payload: 'beside' })
  const { text, acknowledge } = await other.messages.next()
  expect(text).toBe('beside')
  acknowledge()
  for (let id = 1; id <= 200; id += 1) (await slow.messages.next()).acknowledge()
  await expect.poll(() => broker.acknowledged.length, WAIT).toBe(201)
  expect(broker.acknowledged).toEqual(Array.from({ length: 201 }, (_, index) => index + 1))
})

it('G-8: a gateway that stops while its messages are not stored does not keep those of its session unacknowledged', async () => {
  const { broker, slow, other, newest } = await neighbours()
  newest().publish(1, { topic: 'o1/slow', payload: 'never stored' })
  newest().publish(2, { topic: 'o1/other', payload: 'beside' })
  await slow.messages.next()
  const beside = await other.messages.next()
  await slow.stop()
  beside.acknowledge()
  expect(await other.states.next()).toContain('interrupted')
  expect(await other.states.next()).toBe('subscribed')
  newest().publish(2, { topic: 'o1/other', payload: 'beside', dup: true })
  const again = await other.messages.next()
  again.acknowledge()
  await expect.poll(() => broker.acknowledged, WAIT).toEqual([2])
})

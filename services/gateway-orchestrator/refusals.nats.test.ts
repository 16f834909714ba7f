import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { connectMqttPublisher } from '../../src/mqtt/client.ts'
import { gateway, GatewayRig, WAIT } from '../../test/rig/gateways/gateway-rig.ts'
import { ScriptedBroker } from '../../test/rig/gateways/scripted-broker.ts'

const rig = GatewayRig.forEach()

test('G-17: messages that cannot be envelopes are counted per gateway and reason, are its last error and are logged once', async () => {
  const gatewayConfig = { broker_url: rig.brokerUrl, topic: '#' }
  const [id, other] = [`g${randomUUID()}`, `g${randomUUID()}`]
  await rig.insert(gateway(id, 1, { gatewayType: 'mqtt', gatewayConfig }))
  const another = { organizationId: 'o2', gatewayType: 'mqtt', gatewayConfig: { broker_url: rig.brokerUrl } }
  await rig.insert(gateway(other, 1, another))
  const service = await rig.serve()
  for (const each of [id, other]) await service.until(each, 'running')
  const client = await connectMqttPublisher({ brokerUrl: rig.brokerUrl, clientId: randomUUID() })
  onTestFinished(() => client.close())
  for (const topic of ['o2/d1', 'o1/d1/up', 'o1']) await client.publish(topic, Buffer.from('poison'))
  await client.publish('o1/large', Buffer.alloc(2_000_000))
  await client.publish('o1/d1', Buffer.from('good'))
  await expect
    .poll(() => service.gateways(), WAIT)
    .toMatchObject({
      [id]: {
        state: 'running',
        messages: 5,
        refused: { invalid_topic: 3, not_publishable: 1 },
        last_error: expect.stringContaining('exceeds max_payload'),
      },
      [other]: { refused: {}, last_error: null },
    })
  const counted = (gatewayId: string, reason: string) =>
    service.metric(`ponix_gateway_refused_messages_total{gateway_id="${gatewayId}",reason="${reason}"}`)
  expect(await counted(id, 'invalid_topic')).toBe(3)
  expect(await counted(id, 'not_publishable')).toBe(1)
  expect(await counted(other, 'invalid_topic')).toBeUndefined()
  const logged = service.lines.filter((line) => line['gateway_id'] === id && line.msg.includes('refused'))
  expect(logged).toMatchObject([{ level: 'warn', organization_id: 'o1', gateway_name: id, refused: 1 }])
  expect(logged[0]?.msg).toMatch(
    /^gateway refused messages.* invalid topic "o2\/d1".* further ones are counted in \/gateways$/,
  )
})

test('G-17: a message that cannot be an envelope and is delivered again is one dead letter', async () => {
  const broker = await ScriptedBroker.start('serve')
  onTestFinished(() => broker[Symbol.asyncDispose]())
  const poison = { topic: 'o1', payload: 'poison' }
  let isAgain = false
  broker.onSubscribed = (connection) => connection.publish(1, { ...poison, dup: isAgain })
  broker.onAcknowledged = (connection, id) => {
    if (!isAgain) {
      // As if the acknowledgement were lost.
      isAgain = true
      connection.drop()
    } else if (id === 1) connection.publish(2, { topic: 'o1', payload: 'another' })
  }
  const gatewayConfig = { broker_url: broker.url, topic: '#' }
  await rig.insert(gateway('again', 1, { gatewayType: 'mqtt', gatewayConfig }))
  await rig.serve()
  await expect.poll(() => broker.acknowledged, WAIT).toEqual([1, 1, 2])
  const letters = await rig.stored('dead_letters')
  expect(letters.map(({ body }) => Buffer.from(body).toString())).toEqual(['poison', 'another'])
})

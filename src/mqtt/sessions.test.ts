import { once } from 'node:events'
import { createServer } from 'node:net'
import { generate, parser } from 'mqtt-packet'
import { expect, it, onTestFinished } from 'vitest'
import { brokerAt, subscribe } from '../../test/rig/adapters/mqtt-subscription.ts'
import { MqttSessions } from './sessions.ts'

const PLACE = { shard: 0, organizationId: 'o1' }

/** Starts a broker of MQTT 5 that accepts one password; `connects` has the password of each CONNECT. */
async function scriptedBroker() {
  const connects: string[] = []
  const server = createServer((socket) => {
    const packets = parser({ protocolVersion: 5 })
    socket.on('data', (bytes) => packets.parse(bytes)).on('error', () => undefined)
    packets.on('packet', (packet) => {
      if (packet.cmd === 'connect') {
        const password = String(packet.password)
        connects.push(password)
        const reasonCode = password === 'right' ? 0 : 0x86
        socket.write(generate({ cmd: 'connack', sessionPresent: false, reasonCode }, { protocolVersion: 5 }))
      } else if (packet.cmd === 'subscribe') {
        const messageId = packet.messageId ?? 0
        socket.write(generate({ cmd: 'suback', messageId, granted: [1] }, { protocolVersion: 5 }))
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const sessions = new MqttSessions(() => 1024)
  const join = (topicFilter: string, password: string, user: { readonly username?: string } = { username: 'u' }) => {
    const broker = brokerAt(`mqtt://127.0.0.1:${port}`, { ...user, password })
    return subscribe((...args) => sessions.subscribe(PLACE, ...args), { broker, topicFilter })
  }
  return { connects, join }
}

it('G-9 many gateways with one wrong password make one attempt to connect', async () => {
  const { connects, join } = await scriptedBroker()
  const gateways = Array.from({ length: 100 }, (_, number) => join(`o1/${number}`, 'wrong'))
  for (const { ended } of gateways) await expect(ended).rejects.toThrow('bad username or password')
  expect(connects).toEqual(['wrong'])
})

it('G-9 a gateway with a wrong password does not interrupt those of its session, and another with the right one joins', async () => {
  const { connects, join } = await scriptedBroker()
  const good = join('o1/1', 'right')
  expect(await good.states.next()).toBe('subscribed')
  const bad = [join('o1/2', 'wrong'), join('o1/3', 'wrong')]
  for (const { ended } of bad) await expect(ended).rejects.toThrow('bad username or password')
  const another = join('o1/4', 'right')
  expect(await another.states.next()).toBe('subscribed')
  expect(connects).toEqual(['right', 'wrong'])
  await Promise.all([good.stop(), another.stop()])
})

it.each(['ca', 'cert', 'key'])('G-9 a certificate that is not one in %s is a permanent error', async (key) => {
  const pem = '-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----'
  const broker = brokerAt('mqtts://127.0.0.1:1', { [key]: pem })
  const sessions = new MqttSessions(() => 1024)
  const { ended } = subscribe((...args) => sessions.subscribe(PLACE, ...args), { broker, topicFilter: 'o1/+' })
  await expect(ended).rejects.toMatchObject({ name: 'GatewayConfigError', message: expect.stringContaining(key) })
})

it('G-9 a password without a user is a permanent error', async () => {
  const { connects, join } = await scriptedBroker()
  const { ended } = join('o1/+', 'right', {})
  await expect(ended).rejects.toMatchObject({
    name: 'GatewayConfigError',
    message: 'gateway_config: expected a "username" for "password"',
  })
  expect(connects).toEqual([])
})

import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CertificateAuthority } from '../../test/rig/adapters/certificates.ts'
import { brokerAt, publisherTo, sessionWith, subscribe } from '../../test/rig/adapters/mqtt-subscription.ts'
import { freePort, type MqttAddress, type ServerControl, startMosquitto } from '../../test/rig/servers.ts'

let authority: CertificateAuthority
let other: CertificateAuthority
let mosquitto: MqttAddress & ServerControl
let plainUrl: string

beforeAll(async () => {
  ;[authority, other] = await Promise.all([CertificateAuthority.create(), CertificateAuthority.create()])
  const { certFile, keyFile } = await authority.issue('broker')
  const plainPort = await freePort()
  plainUrl = `mqtt://127.0.0.1:${plainPort}`
  const tls = [`cafile ${authority.own.certFile}`, `certfile ${certFile}`, `keyfile ${keyFile}`]
  // The second listener is for the publisher.
  const settings = [...tls, 'require_certificate true', `listener ${plainPort} 127.0.0.1`]
  mosquitto = await startMosquitto(settings.join('\n'))
})
afterAll(async () => {
  await mosquitto[Symbol.asyncDispose]()
  for (const { folder } of [authority, other]) await rm(folder, { recursive: true })
})

function join(config: { ca?: string; cert?: string; key?: string }) {
  const broker = brokerAt(`mqtts://${mosquitto.host}:${mosquitto.port}`, config)
  const session = sessionWith()
  return subscribe((...args) => session.subscribe(...args), { broker, topicFilter: 'tls/+' })
}

it('G-8: a broker that requires a client certificate accepts that of the config, and delivers messages', async () => {
  const { cert, key } = await authority.issue('gateway')
  const { states, messages, stop } = join({ ca: authority.own.cert, cert, key })
  expect(await states.next()).toBe('subscribed')
  await (await publisherTo(plainUrl)).publish('tls/d1', Buffer.from('secret'))
  const { text, acknowledge } = await messages.next()
  expect(text).toBe('secret')
  acknowledge()
  await stop()
})

it('G-9: a broker that requires a client certificate refuses a gateway without one', async () => {
  await expect(join({ ca: authority.own.cert }).ended).rejects.toBeInstanceOf(Error)
})

it('G-9: a broker refuses a certificate of another authority', async () => {
  const { cert, key } = await other.issue('stranger')
  await expect(join({ ca: authority.own.cert, cert, key }).ended).rejects.toBeInstanceOf(Error)
})

it.each(['without a ca', 'with another ca'])('G-9: a gateway %s does not trust the broker', async (kind) => {
  const { cert, key } = await authority.issue(kind.replaceAll(' ', '-'))
  const ca = kind === 'with another ca' ? { ca: other.own.cert } : {}
  await expect(join({ ...ca, cert, key }).ended).rejects.toThrow('certificate')
})

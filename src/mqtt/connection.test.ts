import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { brokerAt } from '../../test/rig/adapters/mqtt-subscription.ts'
import { openConnection } from './connection.ts'

/** Returns the port of a server that sends this when a client connects, and keeps the connection. */
async function serverThatSends(greeting: Buffer): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.write(greeting)
  })
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return isAddress(address) ? address.port : 0
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return address !== null && typeof address === 'object'
}

test.each([
  [
    'NATS',
    Buffer.from('INFO {"server_id":"N","version":"2.11.0","max_payload":1048576,"jetstream":true,"client_id":5}\r\n'),
  ],
  ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')],
  ['SSH, whose text is shorter than its first bytes as a packet', Buffer.from('SSH-2.0-x\r\n')],
  ['a malformed CONNACK', Buffer.from([0x2f, 0x02, 0x00, 0x00])],
  ['a malformed length', Buffer.from([0x20, 0xff, 0xff, 0xff, 0xff, 0xff])],
])('G-14 a server that answers with %s does not speak MQTT', async (_, greeting) => {
  const port = await serverThatSends(greeting)
  const options = { clientId: 'c', version: 5, clean: false, maxPacketBytes: () => 1000 } as const
  const broker = brokerAt(`mqtt://127.0.0.1:${port}`)
  const opening = openConnection({ ...options, broker, assertOwned: () => undefined }, new AbortController().signal)
  await expect(opening).rejects.toThrow(`the server at 127.0.0.1:${port} does not speak MQTT; check the port (`)
})

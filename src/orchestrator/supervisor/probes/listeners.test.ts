import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { listen } from '../../../../test/rig/tcp-proxy.ts'
import { parseListeners, readListeners, sharedListeners } from './listeners.ts'
import { listenersAt, localPortOf } from './local-port.ts'

describe('parseListeners (O-46)', () => {
  test('returns the listening sockets of IPv4', () => {
    const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 4711 1 0000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0000 100 0 0 10 0
   2: 0100007F:1538 0100007F:C350 01 00000000:00000000 00:00000000 00000000   999        0 4712 1 0000 20 0 0 10 -1
   3: 0100007F:1F90 0100007F:C351 06 00000000:00000000 03:00000F00 00000000     0        0 0 3 0000
`
    expect(parseListeners(table)).toEqual([
      { address: '127.0.0.1', port: 5432, inode: '4711', uid: 999 },
      { address: '0.0.0.0', port: 22, inode: '12', uid: 0 },
    ])
  })

  test('returns the listening sockets of IPv6 in canonical form', () => {
    const row = (address: string) =>
      `0: ${address}:1F90 ${'0'.repeat(32)}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1 0000`
    const table = [
      '00000000000000000000000000000000',
      '00000000000000000000000001000000',
      '0000000000000000FFFF00000100007F',
      'B80D0120000000000000000001000000',
    ].map(row)
    expect(parseListeners(table.join('\n')).map(({ address }) => address)).toEqual([
      '::',
      '::1',
      '127.0.0.1',
      '2001:db8::1',
    ])
  })

  test.each(['127.0.0.1', '0.0.0.0', '::1', '::'])('finds a socket that listens at %s', async (address) => {
    const port = await listen(createServer(), address)
    expect(readListeners()?.filter((socket) => socket.port === port)).toEqual([
      { address, port, inode: expect.stringMatching(/^\d+$/), uid: process.getuid?.() },
    ])
  })
})

test('processes that start in the same turn of the event loop share one read of the sockets', async () => {
  const first = sharedListeners()
  expect(sharedListeners()).toBe(first)
  await new Promise((resolve) => setImmediate(resolve))
  expect(sharedListeners()).not.toBe(first)
})

describe('localPortOf (O-46)', () => {
  test.each([
    ['127.0.0.1', ['127.0.0.1']],
    ['127.8.9.1', ['127.8.9.1']],
    ['0:0::1', ['::1']],
    ['localhost', ['127.0.0.1', '::1']],
    ['API.localhost', ['127.0.0.1', '::1']],
    ['0.0.0.0', ['127.0.0.1', '::1']],
  ])('maps the host %s to %j', (host, addresses) => {
    expect(localPortOf({ type: 'tcp_socket', host, port: 80 })).toEqual({ port: 80, addresses })
  })

  test.each([
    ['http://127.0.0.1/ready', 80],
    ['https://[::1]/ready', 443],
    ['http://localhost:8080/ready', 8080],
  ])('takes the port of %s', (url, port) => {
    expect(localPortOf({ type: 'http_get', url })?.port).toBe(port)
  })

  test('is null for other machines, and for probes that ask no address', () => {
    expect(localPortOf({ type: 'tcp_socket', host: '192.0.2.1', port: 80 })).toBeNull()
    expect(localPortOf({ type: 'http_get', url: 'http://example.com/' })).toBeNull()
    expect(localPortOf({ type: 'notify' })).toBeNull()
    expect(localPortOf({ type: 'exec', command: ['true'] })).toBeNull()
  })

  test('matches sockets with its address or any address, and its port', () => {
    const at = (address: string, port = 80) => ({ address, port, inode: address, uid: 0 })
    const all = [at('127.0.0.1'), at('0.0.0.0'), at('::'), at('127.0.0.2'), at('::1'), at('127.0.0.1', 81)]
    const found = listenersAt({ port: 80, addresses: ['127.0.0.1'] }, all)
    expect(found.map(({ address }) => address)).toEqual(['127.0.0.1', '0.0.0.0', '::'])
  })
})

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatSocketAddress, parseSocketAddress } from './socket-address.ts'

describe('parseSocketAddress (O-30)', () => {
  it.each([
    ['localhost:1883', 'localhost', 1883],
    ['127.0.0.1:1', '127.0.0.1', 1],
    ['[::1]:1883', '::1', 1883],
    ['[fe80::1%eth0]:1883', 'fe80::1%eth0', 1883],
    ['my_broker-1.example.org:65535', 'my_broker-1.example.org', 65_535],
    ['brücke:1883', 'brücke', 1883],
  ])('parses %s', (text, host, port) => {
    expect(parseSocketAddress(text)).toEqual({ host, port })
    expect(formatSocketAddress({ host, port })).toBe(text)
  })

  it.each([
    '',
    'localhost',
    'localhost:',
    ':1883',
    'localhost:0',
    'localhost:99999',
    'localhost:65536',
    'localhost:18x',
    'localhost:-1',
    'localhost:1883/',
    '::1:1883',
    '[::1]',
    '[localhost]:1883',
    '[]:1883',
    'mqtt://localhost:1883',
    'a b:1883',
    'user@host:1883',
    'localhost:1883\n',
  ])('rejects %j', (text) => {
    expect(parseSocketAddress(text)).toBeNull()
  })

  it('parses what formatSocketAddress returns, and never throws', () => {
    const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6())
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65_535 }), fc.string(), (host, port, noise) => {
        const text = formatSocketAddress({ host, port })
        expect(parseSocketAddress(text)).toEqual({ host, port })
        expect(() => parseSocketAddress(text + noise)).not.toThrow()
      }),
    )
  })
})

import { describe, expect, test } from 'vitest'
import { decodeBundle, encodeBundle, type StreamMessage } from './bundle.ts'

const MESSAGES = [
  {
    subject: 'raw_envelopes.a',
    body: Uint8Array.of(1, 2),
    streamSequence: 1,
    storedAtMs: 1_795_000_000_000,
    headerBlock: new Uint8Array(),
  },
  {
    subject: 'raw_envelopes.ü',
    body: new Uint8Array(),
    streamSequence: 2 ** 48,
    storedAtMs: 0,
    headerBlock: Buffer.from('NATS/1.0\r\nNats-Msg-Id: 7\r\n\r\n'),
  },
  {
    subject: '',
    body: new Uint8Array(100_000).fill(7),
    streamSequence: 0,
    storedAtMs: 1,
    headerBlock: Buffer.alloc(300, 'x'),
  },
]

/** Buffers and other byte arrays are not equal to vitest. */
function comparable({ body, headerBlock, ...message }: StreamMessage) {
  return { ...message, body: Buffer.from(body), headerBlock: Buffer.from(headerBlock) }
}

describe('a bundle', () => {
  test('contains its messages unchanged', () => {
    const decoded = decodeBundle(encodeBundle(MESSAGES))
    expect(decoded.map(comparable)).toEqual(MESSAGES.map(comparable))
  })

  test('can be empty', () => {
    expect(decodeBundle(encodeBundle([]))).toEqual([])
  })

  test('that is truncated is rejected', () => {
    const bytes = encodeBundle(MESSAGES)
    expect(() => decodeBundle(bytes.subarray(0, bytes.length - 1))).toThrow(RangeError)
  })
})

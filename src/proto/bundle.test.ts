import { describe, expect, test } from 'vitest'
import { decodeBundle, encodeBundle } from './bundle.ts'

const MESSAGES = [
  {
    subject: 'raw_envelopes.a',
    body: Uint8Array.of(1, 2),
    streamSequence: 1,
    storedAtMs: 1_795_000_000_000,
    headers: () => ({}),
  },
  {
    subject: 'raw_envelopes.ü',
    body: new Uint8Array(),
    streamSequence: 2 ** 48,
    storedAtMs: 0,
    headers: () => ({ 'Nats-Msg-Id': '7', empty: '' }),
  },
  {
    subject: '',
    body: new Uint8Array(100_000).fill(7),
    streamSequence: 0,
    storedAtMs: 1,
    headers: () => ({ toString: 'x' }),
  },
]

describe('a bundle', () => {
  test('contains its messages unchanged', () => {
    const decoded = decodeBundle(encodeBundle(MESSAGES))
    expect(
      decoded.map(({ subject, body, streamSequence, storedAtMs }) => ({
        subject,
        body: Buffer.from(body),
        streamSequence,
        storedAtMs,
      })),
    ).toEqual(
      MESSAGES.map(({ subject, body, streamSequence, storedAtMs }) => ({
        subject,
        body: Buffer.from(body),
        streamSequence,
        storedAtMs,
      })),
    )
    expect(decoded.map((message) => ({ ...message.headers() }))).toEqual(MESSAGES.map((message) => message.headers()))
    expect(decoded.map((message) => message.header('Nats-Msg-Id'))).toEqual([undefined, '7', undefined])
    expect(decoded.map((message) => message.header('toString'))).toEqual([undefined, undefined, 'x'])
  })

  test('can be empty', () => {
    expect(decodeBundle(encodeBundle([]))).toEqual([])
  })

  test('that is truncated is rejected', () => {
    const bytes = encodeBundle(MESSAGES)
    expect(() => decodeBundle(bytes.subarray(0, bytes.length - 1))).toThrow(RangeError)
  })
})

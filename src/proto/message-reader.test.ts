import { create, toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { TimestampSchema } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeProcessedEnvelope, decodeRawEnvelope, encodeProcessedEnvelope, encodeRawEnvelope } from './envelope.ts'
import { MappingError } from '../domain/errors.ts'
import { MessageReader, tagOf, WIRE } from './message-reader.ts'

const raw = { organizationId: 'o', endDeviceId: 'd', payload: Uint8Array.of(1, 2, 3), receivedAt: 7n }
const processed = {
  organizationId: 'o',
  endDeviceId: 'd',
  occurredAt: 1n,
  processedAt: 2n,
  data: { a: [1, { b: '' }] },
}

/** Returns a message with one unknown field of every wire type, as a later version may have. */
function unknownFields(): Uint8Array {
  const writer = new BinaryWriter()
  writer.tag(100, WireType.Varint).uint64(2n ** 64n - 1n)
  writer.tag(101, WireType.Bit64).double(1.5)
  writer.tag(102, WireType.LengthDelimited).string('later')
  writer.tag(103, WireType.Bit32).fixed32(7)
  return writer.finish()
}

const refusal = new MappingError('expected for an invalid envelope')

function failureOf(decode: () => unknown): unknown {
  try {
    decode()
    return undefined
  } catch (error) {
    return error
  }
}

describe('W-2 MessageReader', () => {
  test('reads numbers written by protobuf-es', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        expect(new MessageReader(new BinaryWriter().int64(value).finish()).varint()).toBe(Number(value))
      }),
    )
  })

  test('reads timestamps written by protobuf-es, even before 1970 and beyond the range of Date', () => {
    const seconds = fc.bigInt({ min: -(2n ** 53n), max: 2n ** 53n })
    const nanos = fc.integer({ min: -999_999_999, max: 999_999_999 })
    fc.assert(
      fc.property(seconds, nanos, (whole, rest) => {
        const time = toBinary(TimestampSchema, create(TimestampSchema, { seconds: whole, nanos: rest }))
        const field = new BinaryWriter().bytes(time).finish()
        expect(new MessageReader(field).instant()).toBe(whole * 1_000_000n + BigInt(Math.floor(rest / 1000)))
      }),
    )
  })

  test('skips unknown fields', () => {
    const body = encodeRawEnvelope(raw)
    expect(decodeRawEnvelope(Buffer.concat([unknownFields(), body, unknownFields()]))).toEqual(raw)
    const other = encodeProcessedEnvelope(processed)
    expect(decodeProcessedEnvelope(Buffer.concat([unknownFields(), other, unknownFields()]))).toEqual(processed)
  })

  test('returns the last value of a repeated singular field', () => {
    const first = encodeRawEnvelope({ ...raw, endDeviceId: 'first' })
    expect(decodeRawEnvelope(Buffer.concat([first, encodeRawEnvelope(raw)]))).toEqual(raw)
  })

  test.each([
    ['a field number of 0', [0x02, 0x00]],
    ['a group', [tagOf(1, WIRE.startGroup)]],
    ['a length beyond the end', [tagOf(9, WIRE.bytes), 5, 1]],
    [
      'a length that no message has',
      [tagOf(9, WIRE.bytes), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    ],
    ['a number without an end', Array.from({ length: 11 }, () => 0xff)],
    ['a double of four bytes', [tagOf(9, WIRE.bit64), 1, 2, 3, 4]],
    ['a part that ends within a field of it', [tagOf(4, WIRE.bytes), 2, 0x12, 5, 1, 1, 1, 1, 1]],
  ])('rejects %s', (_what, bytes) => {
    expect(() => decodeRawEnvelope(Uint8Array.from(bytes))).toThrow(/^not a ponix.envelope.v1.RawEnvelope: /)
  })

  test('decodes any bytes to an envelope or a MappingError', () => {
    const whole = fc.constantFrom(encodeRawEnvelope(raw), encodeProcessedEnvelope(processed))
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 })
    fc.assert(
      fc.property(whole, changes, fc.nat(), (message, changed, length) => {
        const bytes = message.slice(0, message.length - (length % 3))
        for (const [at, byte] of changed) bytes[at % bytes.length] = byte
        expect(failureOf(() => decodeRawEnvelope(bytes)) ?? refusal).toBeInstanceOf(MappingError)
        expect(failureOf(() => decodeProcessedEnvelope(bytes)) ?? refusal).toBeInstanceOf(MappingError)
      }),
      { numRuns: 5000 },
    )
  })
})

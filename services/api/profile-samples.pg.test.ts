import type { MessageInitShape } from '@bufbuild/protobuf'
import { status as Status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import {
  CodecKind,
  DeviceProfileService,
  type SampleSchema,
} from '../../src/proto/gen/ponix/device_profile/v1/device_profile_pb.ts'
import { apiForAll, refusal } from '../../test/rig/services/api.ts'

type NewSample = Exclude<MessageInitShape<typeof SampleSchema>, { $typeName: string }>

const { createDeviceProfile, updateDeviceProfile, getDeviceProfile } = DeviceProfileService.method
const rig = apiForAll()

const CEL = { kind: CodecKind.CEL, source: '{"t": int16be(input, 0), "port": f_port, "at": received_at}' }
const SCRIPT = 'function decodeUplink({ bytes }) { return { data: [{ age_s: 60, data: { n: bytes.length } }] } }'
const JAVASCRIPT = { kind: CodecKind.JAVASCRIPT, source: SCRIPT }
const PASSES: NewSample = { name: 'first', payload: Buffer.of(0, 1) }

const data = (value: Record<string, string | number>): NonNullable<NewSample['expected']> => ({ case: 'data', value })
const readings = (time: string): NonNullable<NewSample['expected']> => {
  const reading = { kind: { case: 'structValue' as const, value: structOf(time) } }
  return { case: 'readings', value: { values: [reading] } }
}

function structOf(time: string) {
  const inner = { fields: { n: { kind: { case: 'numberValue' as const, value: 1 } } } }
  return {
    fields: {
      time: { kind: { case: 'stringValue' as const, value: time } },
      data: { kind: { case: 'structValue' as const, value: inner } },
    },
  }
}

async function outcomeOf(call: Promise<unknown>) {
  const { code, details } = await refusal(call)
  expect(code).toBe(Status.INVALID_ARGUMENT)
  return details
}

describe('W-3 the samples of a profile', () => {
  test('pass with their port and receive time, with readings of a list, and with a part of the error', async () => {
    const samples: NewSample[] = [
      {
        ...PASSES,
        fPort: 7,
        receivedAt: { seconds: 60n },
        expected: data({ t: 1, port: 7, at: '1970-01-01T00:01:00Z' }),
      },
      { expected: { case: 'error', value: 'there are no bytes' } },
    ]
    const fixed = await rig.api.client.call(createDeviceProfile, { name: 'P', codec: CEL, samples })
    expect(fixed.deviceProfile?.samples).toHaveLength(2)
    const list = { payload: Buffer.of(0), receivedAt: { seconds: 60n }, expected: readings('1970-01-01T00:00:00Z') }
    const request = { name: 'P', codec: JAVASCRIPT, samples: [list] }
    const listed = await rig.api.client.call(createDeviceProfile, request)
    expect(listed.deviceProfile?.samples).toHaveLength(1)
  })

  test.each<[string, { readonly kind: CodecKind; readonly source: string }, NewSample, string]>([
    [
      'a value differs',
      CEL,
      { ...PASSES, fPort: 2, expected: data({ t: 5, port: 2 }) },
      'data.t: expected 5, got 1, and 1 more',
    ],
    ['the codec fails', CEL, { payload: Buffer.of(0) }, 'errors: expected nothing, got "line 1, column '],
    [
      'the codec does not fail',
      CEL,
      { ...PASSES, expected: { case: 'error', value: 'x' } },
      'data: expected nothing, got {"t":1',
    ],
    [
      'a time differs',
      JAVASCRIPT,
      { payload: Buffer.of(0), receivedAt: { seconds: 61n }, expected: readings('1970-01-01T00:00:00Z') },
      'data[0].time: expected "1970-01-01T00:00:00.000000Z", got "1970-01-01T00:00:01.000000Z"',
    ],
    [
      'the result is no reading',
      { kind: CodecKind.JAVASCRIPT, source: 'function decodeUplink() { return { data: [1] } }' },
      {},
      'errors: expected nothing, got "reading 0: expected an object',
    ],
    [
      'the codec does not end',
      { kind: CodecKind.JAVASCRIPT, source: 'function decodeUplink() { for (;;); }' },
      {},
      'errors: expected nothing, got "the codec ran longer than 250 ms"',
    ],
  ])('A-4 are refused if %s, and stored with skip_samples', async (_, codec, sample, difference) => {
    const request = {
      name: 'P',
      codec,
      samples: [
        { ...sample, name: 'a' },
        { name: 'b', payload: Buffer.of(1) },
      ],
    }
    const details = await outcomeOf(rig.api.client.call(createDeviceProfile, request))
    expect(details).toContain(`samples[0] "a": ${difference}`)
    const stored = await rig.api.client.call(createDeviceProfile, { ...request, skipSamples: true })
    expect(stored.deviceProfile?.samples).toHaveLength(2)
  })

  test('A-4 are run when the codec or they change, with the stored rest, and not for a new name', async () => {
    const { deviceProfile } = await rig.api.client.call(createDeviceProfile, {
      name: 'P',
      codec: CEL,
      samples: [PASSES],
    })
    const profileId = deviceProfile?.profileId ?? ''
    const codec = { kind: CodecKind.CEL, source: '{"t": int32be(input, 0)}' }
    const failed = await outcomeOf(rig.api.client.call(updateDeviceProfile, { profileId, codec }))
    expect(failed).toMatch(/^samples\[0\] "first": errors: expected nothing, got "line 1, column .*skip_samples/)
    const samples = { samples: [{ name: 'short' }] }
    const short = await outcomeOf(rig.api.client.call(updateDeviceProfile, { profileId, samples }))
    expect(short).toMatch(/^samples\[0\] "short": errors/)
    expect((await rig.api.client.call(getDeviceProfile, { profileId })).deviceProfile).toEqual(deviceProfile)
    await rig.api.client.call(updateDeviceProfile, { profileId, samples, skipSamples: true })
    const renamed = await rig.api.client.call(updateDeviceProfile, { profileId, name: 'Q' })
    expect(renamed.deviceProfile).toMatchObject({ name: 'Q', samples: samples.samples })
  })
})

test.each([
  ['function decodeUplink(', 'codec.source, line 1, column 23: SyntaxError: missing formal parameter'],
  ['const decode = 1', 'codec.source, '],
  ['throw new Error("at the top")', 'codec.source, line 1, column '],
])('A-4 the JavaScript source %j is refused, with and without samples', async (source, message) => {
  for (const skipSamples of [false, true]) {
    const request = { name: 'P', codec: { kind: CodecKind.JAVASCRIPT, source }, skipSamples }
    expect(await outcomeOf(rig.api.client.call(createDeviceProfile, request))).toContain(message)
  }
})

import type { MessageInitShape } from '@bufbuild/protobuf'
import { status as Status } from '@grpc/grpc-js'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  CodecKind,
  DeviceProfileService,
  type TestPayloadConversionRequestSchema,
} from '../../src/proto/gen/ponix/device_profile/v1/device_profile_pb.ts'
import { EndDeviceService } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { apiForAll, refusal } from '../../test/rig/services/api.ts'

type Request = Exclude<MessageInitShape<typeof TestPayloadConversionRequestSchema>, { $typeName: string }>
type Conversion = NonNullable<Request['conversion']>

const { testPayloadConversion, createDeviceProfile } = DeviceProfileService.method
const { createEndDevice } = EndDeviceService.method
const rig = apiForAll()
const SOURCE = '{"port": f_port, "count": f_cnt, "rssi": metadata.rssi, "at": received_at, "n": input.size()}'
const UPLINK = { payload: Buffer.of(1, 2), fPort: 3, fCnt: 4, receivedAt: { seconds: 60n }, metadata: { rssi: -5 } }
const DATA = { port: 3, count: 4, rssi: -5, at: '1970-01-01T00:01:00Z', n: 2 }

let organizationId: string

beforeAll(async () => {
  organizationId = await rig.newOrganization()
})

function run(conversion: Conversion, request: Partial<Request> = UPLINK) {
  return rig.api.client.call(testPayloadConversion, { organizationId, conversion, ...request })
}

const expression = (value: string): Conversion => ({ case: 'payloadConversion', value })
const script = (source: string): Conversion => ({ case: 'codec', value: { kind: CodecKind.JAVASCRIPT, source } })

async function newProfile(owner: string, source = SOURCE): Promise<string> {
  const request = { organizationId: owner, name: 'P', codec: { kind: CodecKind.CEL, source } }
  return (await rig.api.client.call(createDeviceProfile, request)).deviceProfile?.profileId ?? ''
}

async function newDevice(device: { payloadConversion?: string; profileId?: string }): Promise<Conversion> {
  const { endDevice } = await rig.api.client.call(createEndDevice, { organizationId, name: 'Sensor', ...device })
  return { case: 'deviceId', value: endDevice?.deviceId ?? '' }
}

describe('W-3 TestPayloadConversion', () => {
  test('runs an expression, a codec, a profile, and the codec of a device', async () => {
    const own = await newProfile(organizationId)
    const conversions: Conversion[] = [
      expression(SOURCE),
      { case: 'codec', value: { kind: CodecKind.CEL, source: SOURCE } },
      { case: 'profileId', value: own },
      { case: 'profileId', value: await newProfile('') },
      await newDevice({ profileId: own }),
      await newDevice({ profileId: own, payloadConversion: `${SOURCE} // its own` }),
    ]
    for (const conversion of conversions) {
      const { readings, warnings, error } = await run(conversion)
      const time = expect.objectContaining({ seconds: 60n })
      expect({ readings, warnings, error }).toEqual({
        readings: [expect.objectContaining({ time, data: DATA })],
        warnings: [],
        error: undefined,
      })
    }
    const lpp = { kind: CodecKind.CAYENNE_LPP, source: '' }
    const { readings } = await run({ case: 'codec', value: lpp }, { payload: Buffer.from('006700FF', 'hex') })
    expect(readings).toMatchObject([{ data: { temperature_0: 25.5 } }])
  })

  test('returns the readings of a list with their times, and warnings', async () => {
    const source = `function decodeUplink({ fPort }) {
      return { data: [{ age_s: 60, data: { fPort } }, { data: { n: 1 } }], warnings: ['wet'] }
    }`
    const { readings, warnings } = await run(script(source))
    expect(readings).toMatchObject([
      { time: { seconds: 0n }, data: { fPort: 3 } },
      { time: { seconds: 60n }, data: { n: 1 } },
    ])
    expect(warnings).toEqual(['wet'])
  })

  test.each<[string, Conversion, Record<string, unknown>]>([
    [
      'syntax',
      expression('{"a":\n  input +}'),
      { line: 2, column: expect.any(Number), message: expect.stringContaining('syntax error') },
    ],
    ['a type', expression('{"a": int(input)}'), { line: 1, column: expect.any(Number), message: expect.any(String) }],
    [
      'a payload',
      expression('{"a": uint8(input, 7)}'),
      { line: 1, column: 7, message: expect.stringContaining('byte 7 was requested') },
    ],
    [
      'an exception',
      script('\nfunction decodeUplink() { null.x }'),
      { line: 2, column: expect.any(Number), message: "TypeError: cannot read property 'x' of null" },
    ],
    ['syntax of JavaScript', script('function ('), { line: 1, message: expect.stringContaining('SyntaxError') }],
    [
      'errors of the codec',
      script('function decodeUplink() { return { errors: ["bad"] } }'),
      { line: 0, column: 0, message: 'bad' },
    ],
    [
      'a result without readings',
      script('function decodeUplink() { return { data: [1] } }'),
      { line: 0, message: expect.stringMatching(/^reading 0: /) },
    ],
    [
      'an endless codec',
      script('function decodeUplink() { for (;;); }'),
      { message: 'the codec ran longer than 250 ms' },
    ],
    [
      'a long source',
      expression(`{"a": 1} // ${'x'.repeat(5000)}`),
      { message: expect.stringContaining('at most 4096') },
    ],
  ])('returns a failure as an answer: %s', async (_, conversion, error) => {
    expect(await run(conversion)).toMatchObject({ readings: [], warnings: [], error })
  })

  test('A-4 A-7 refuses a request without organization or codec, and entities of other organizations', async () => {
    const foreign = await rig.newOrganization()
    const requests: [Conversion | undefined, Partial<Request>, Status, string][] = [
      [undefined, {}, Status.INVALID_ARGUMENT, 'payload_conversion, codec, profile_id or device_id is required'],
      [expression(' '), {}, Status.INVALID_ARGUMENT, 'payload_conversion is required'],
      [{ case: 'codec', value: {} }, {}, Status.INVALID_ARGUMENT, 'codec.kind must be'],
      [expression('{}'), { organizationId: '' }, Status.INVALID_ARGUMENT, 'organization_id is required'],
      [expression('{}'), { organizationId: 'missing' }, Status.NOT_FOUND, 'Organization not found: missing'],
      [expression('{}'), { receivedAt: { seconds: 10n ** 12n } }, Status.INVALID_ARGUMENT, 'received_at is outside'],
      [{ case: 'profileId', value: await newProfile(foreign) }, {}, Status.NOT_FOUND, 'Device profile not found'],
      [{ case: 'deviceId', value: await rig.newDevice(foreign) }, {}, Status.NOT_FOUND, 'End device not found'],
      [await newDevice({}), {}, Status.FAILED_PRECONDITION, 'neither a payload_conversion nor a profile_id'],
      [
        script('function decodeUplink() { return { data: { a: new Array(400000).fill("") } } }'),
        {},
        Status.FAILED_PRECONDITION,
        'too large for an answer',
      ],
    ]
    for (const [conversion, request, code, details] of requests) {
      const call = rig.api.client.call(testPayloadConversion, {
        organizationId,
        ...(conversion === undefined ? {} : { conversion }),
        ...request,
      })
      expect(await refusal(call)).toEqual({ code, details: expect.stringContaining(details) })
    }
  })

  test('P-3 answers an organization while endless codecs of another one wait', async () => {
    const other = await rig.newOrganization()
    const sources = Array.from({ length: 20 }, (_, index) => `function decodeUplink() { for (;;); } // ${index}`)
    let ended = 0
    const running = sources.map(async (source) => {
      await run(script(source))
      ended += 1
    })
    const { error } = await run(script('function decodeUplink() { return { data: {} } }'), { organizationId: other })
    expect(error).toBeUndefined()
    expect(ended).toBeLessThan(sources.length / 2)
    // They end with their time limits, or on a busy machine with the deadline of the call.
    await Promise.allSettled(running)
  })
})

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CHIRPSTACK_UPLINK as CHIRPSTACK, TTN_UPLINK as TTN } from '../../../test/rig/gateways/network-server.ts'
import { MappingError } from '../errors.ts'
import { decodeChirpStackUplink } from './chirpstack.ts'
import { decodeTheThingsStackUplink } from './the-things-stack.ts'

const RECEIVED = BigInt(Date.UTC(2026, 0, 2, 3, 4, 5)) * 1000n

const chirpStack = (event: unknown) => decodeChirpStackUplink(Buffer.from(JSON.stringify(event)))
const theThingsStack = (message: unknown) => decodeTheThingsStackUplink(Buffer.from(JSON.stringify(message)))

describe('G-8: an uplink of ChirpStack v4', () => {
  test('has the device, the payload and the best reception', () => {
    expect(chirpStack(CHIRPSTACK)).toEqual({
      externalId: '70b3d57ed0000001',
      payload: Buffer.from('006700ff', 'hex'),
      receivedAt: RECEIVED + 612_813n,
      uplinkId: '3ac7e3c4-4401-4b8d-9386-a5c902f9202d',
      uplink: {
        fPort: 1,
        fCnt: 4,
        metadata: {
          rssi: -101,
          snr: 12.2,
          gatewayId: '0016c001f153a14d',
          gatewayIds: ['0016c001f153a14c', '0016c001f153a14d'],
          dr: 1,
          frequency: 867_100_000,
          modulation: { lora: { bandwidth: 125_000, spreadingFactor: 11, codeRate: 'CR_4_5' } },
        },
      },
    })
  })

  test.each([{}, { fCnt: null, fPort: null, data: null, rxInfo: null, txInfo: null, time: null, dr: null }])(
    'has defaults for the fields that are omitted or null: %j',
    (fields) => {
      expect(chirpStack({ deviceInfo: { devEui: '70b3d57ed0000001' }, ...fields })).toEqual({
        externalId: '70b3d57ed0000001',
        payload: Buffer.alloc(0),
        receivedAt: null,
        uplinkId: null,
        uplink: { fPort: 0, fCnt: 0, metadata: { gatewayIds: [], dr: 0 } },
      })
    },
  )

  test.each(['70B3D57ED0000001', '70-b3-d5-7e-d0-00-00-01', '70:B3:D5:7E:D0:00:00:01'])(
    'accepts the DevEUI %s',
    (devEui) => {
      expect(chirpStack({ deviceInfo: { devEui } }).externalId).toBe('70b3d57ed0000001')
    },
  )

  test.each(['AGcA/w==', 'AGcA/w', 'AGcA_w=='])('accepts the base64 %s', (data) => {
    expect(Buffer.from(chirpStack({ ...CHIRPSTACK, data }).payload).toString('hex')).toBe('006700ff')
  })

  test.each([
    [{ ...CHIRPSTACK, deviceInfo: undefined }, 'deviceInfo.devEui is missing'],
    [{ applicationID: '1', devEUI: 'cLPVftAAAAE=', fCnt: 1 }, 'it is an event of ChirpStack v3'],
    [{ ...CHIRPSTACK, deviceInfo: { devEui: '70b3d57ed000000' } }, 'deviceInfo.devEui has 15 hexadecimal digits'],
    [{ ...CHIRPSTACK, data: 'AGcA*w==' }, 'data: expected base64'],
    [{ ...CHIRPSTACK, data: 'A' }, 'data: expected base64'],
    [{ ...CHIRPSTACK, fCnt: 2 ** 32 }, 'fCnt: expected a whole number from 0 to 4294967295'],
    [{ ...CHIRPSTACK, fCnt: '18446744073709551615' }, 'fCnt: expected a whole number from 0 to 4294967295'],
    [{ ...CHIRPSTACK, fCnt: -1 }, 'fCnt: expected a whole number'],
    [{ ...CHIRPSTACK, fPort: 256 }, 'fPort: expected a whole number from 0 to 255'],
    [{ ...CHIRPSTACK, rxInfo: [{ rssi: 'x' }] }, 'rxInfo.0.rssi: '],
    [[], 'not an uplink of ChirpStack v4'],
    ['x', 'not an uplink of ChirpStack v4'],
    [null, 'not an uplink of ChirpStack v4'],
  ])('is not %.80j', (event, reason) => {
    expect(() => chirpStack(event)).toThrow(MappingError)
    expect(() => chirpStack(event)).toThrow(reason)
  })

  test('is not protobuf, text or a megabyte of brackets', () => {
    for (const body of [Buffer.from('0a0b', 'hex'), Buffer.of(0xff), Buffer.from('{'), Buffer.from('['.repeat(1e6))]) {
      expect(() => decodeChirpStackUplink(body)).toThrow(/^not an uplink of ChirpStack v4: not JSON/)
    }
  })
})

describe('G-8: an uplink of The Things Stack v3', () => {
  const up = TTN['uplink_message']

  test('has the device, the payload and the best reception', () => {
    expect(theThingsStack(TTN)).toEqual({
      externalId: '70b3d57ed0000001',
      payload: Buffer.from('006700ff', 'hex'),
      receivedAt: RECEIVED + 713_424n,
      uplinkId: 'AXBSH1Pk6Z0G166YaNCgIQ== 16',
      uplink: {
        fPort: 1,
        fCnt: 16,
        metadata: {
          rssi: -35,
          snr: 5.2,
          gateway_id: 'gtw1',
          gateway_ids: ['gtw1'],
          data_rate: { lora: { bandwidth: 125_000, spreading_factor: 7, coding_rate: '4/6' } },
          frequency: '868300000',
        },
      },
    })
  })

  test.each(['70B3D57ED0000001', '70-b3-d5-7e-d0-00-00-01', '70:B3:D5:7E:D0:00:00:01'])(
    'accepts the DevEUI %s',
    (devEui) => {
      const { externalId } = theThingsStack({ ...TTN, end_device_ids: { device_id: 'dev1', dev_eui: devEui } })
      expect(externalId).toBe('70b3d57ed0000001')
    },
  )

  test('has defaults for omitted fields, and the device id if there is no DevEUI', () => {
    expect(theThingsStack({ end_device_ids: { device_id: 'dev1' }, uplink_message: {} })).toEqual({
      externalId: 'dev1',
      payload: Buffer.alloc(0),
      receivedAt: null,
      uplinkId: null,
      uplink: { fPort: 0, fCnt: 0, metadata: { gateway_ids: [] } },
    })
  })

  test.each([
    [{ ...TTN, uplink_message: undefined, join_accept: {} }, 'uplink_message is missing'],
    [{ ...TTN, end_device_ids: {} }, 'end_device_ids has neither dev_eui nor device_id'],
    [{ app_id: 'a', dev_id: 'd', hardware_serial: '70B3D57ED0000001', counter: 2 }, 'it is a message of version 2'],
    [{ ...TTN, uplink_message: { ...Object(up), frm_payload: '%' } }, 'uplink_message.frm_payload: expected base64'],
    [{ ...TTN, uplink_message: { ...Object(up), f_cnt: 1.5 } }, 'uplink_message.f_cnt: expected a whole number'],
    [{ ...TTN, uplink_message: { ...Object(up), f_cnt: 2 ** 32 } }, 'uplink_message.f_cnt: expected a whole number'],
    [{ ...TTN, uplink_message: { ...Object(up), f_cnt: '18446744073709551615' } }, 'uplink_message.f_cnt: expected a'],
    [{ ...TTN, end_device_ids: { dev_eui: '70B3D57ED000000' } }, 'end_device_ids has 15 hexadecimal digits'],
    ['x'.repeat(1e6), 'not an uplink of The Things Stack v3'],
  ])('is not %.80j', (message, reason) => {
    expect(() => theThingsStack(message)).toThrow(MappingError)
    expect(() => theThingsStack(message)).toThrow(reason)
  })
})

function failureOf(act: () => unknown): unknown {
  try {
    act()
    return undefined
  } catch (error) {
    return error
  }
}

test('G-8: any JSON is an uplink or a MappingError', () => {
  const json = fc.oneof(
    fc.json().map((value): unknown => JSON.parse(value)),
    fc.record({ deviceInfo: fc.jsonValue(), end_device_ids: fc.jsonValue(), uplink_message: fc.jsonValue() }),
  )
  fc.assert(
    fc.property(json, (value) => {
      for (const decode of [chirpStack, theThingsStack]) {
        expect(failureOf(() => decode(value)) ?? new MappingError('')).toBeInstanceOf(MappingError)
      }
    }),
  )
})

import { expect, test } from 'vitest'
import { normalExternalId } from './external-id.ts'

test.each([
  '70b3d57ed0000001',
  '70B3D57ED0000001',
  '70-B3-D5-7E-D0-00-00-01',
  '70:b3:d5:7e:d0:00:00:01',
  '70 B3 D5 7E D0 00 00 01',
  '70b3.d57e.d000.0001',
  '0x70B3D57ED0000001',
  ' 70b3d57ed0000001\n',
])('A-4 the DevEUI %j is 70b3d57ed0000001', (spelling) => {
  expect(normalExternalId('external_id', spelling)).toBe('70b3d57ed0000001')
})

test.each([
  ['', ''],
  [' ', ''],
  ['eui-70b3d57ed0000001', 'eui-70b3d57ed0000001'],
  ['My-Sensor-2', 'my-sensor-2'],
  ['bed-1', 'bed-1'],
])('A-4 the external id %j is %j', (text, normal) => {
  expect(normalExternalId('external_id', text)).toBe(normal)
})

test.each([
  ['70b3d57ed000000', 'external_id has 15 hexadecimal digits; a DevEUI has 16'],
  ['70b3d57ed00000011', 'external_id has 17 hexadecimal digits'],
  ['70-b3-d5-7e-d0-00-00', 'external_id has 14 hexadecimal digits'],
  ['70b3d57ed000000g!', 'external_id must be a DevEUI such as'],
  ['ab', 'external_id must be'],
  ['a--b', 'external_id must be'],
  ['-abc', 'external_id must be'],
  ['cLPVftAAAAE=', 'external_id must be'],
  ['sensor 1', 'external_id must be'],
  ['sensor\0', 'external_id must be'],
  ['a'.repeat(37), 'external_id has 37 hexadecimal digits'],
  [`${'a'.repeat(60)}!`, 'external_id must be'],
  ['z'.repeat(37), 'external_id must be'],
  [` ${'0 '.repeat(100_000)}x`, 'external_id must be'],
])('A-4 rejects the external id %.40j', (text, message) => {
  expect(() => normalExternalId('external_id', text)).toThrow(
    expect.objectContaining({ code: 'invalid_argument', message: expect.stringContaining(message) }),
  )
})

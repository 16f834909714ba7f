import { expect, test } from 'vitest'
import { isSupportedNatsServer } from './server-version.ts'

test.each([
  ['2.10.5', true],
  ['2.10.27', true],
  ['2.12.0-RC.1', true],
  ['3.0.0', true],
  ['2.10.4', false],
  ['2.9.25', false],
  ['1.99.99', false],
  ['', false],
])('E-7 version %j of nats-server is supported: %j', (version, supported) => {
  expect(isSupportedNatsServer(version)).toBe(supported)
})

import { expect, test } from 'vitest'
import { brokerAddress } from './broker.ts'

test.each([
  ['mqtt://broker', { protocol: 'mqtt', host: 'broker', port: 1883 }],
  ['mqtts://broker:8884/ignored', { protocol: 'mqtts', host: 'broker', port: 8884 }],
  ['mqtt://[::1]:1884', { protocol: 'mqtt', host: '::1', port: 1884 }],
  ['mqtt://me:p%40ss@broker', { protocol: 'mqtt', host: 'broker', port: 1883, username: 'me', password: 'p@ss' }],
])('the client reads the address of a broker from %s', (url, options) => {
  expect(brokerAddress(url)).toEqual(options)
})

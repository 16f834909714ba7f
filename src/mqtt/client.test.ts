import { expect, test } from 'vitest'
import { brokerOptions } from './client.ts'

test.each([
  ['mqtt://broker', { protocol: 'mqtt', host: 'broker' }],
  ['mqtts://broker:8884/ignored', { protocol: 'mqtts', host: 'broker', port: 8884 }],
  ['mqtt://[::1]:1884', { protocol: 'mqtt', host: '::1', port: 1884 }],
  ['mqtt://me:p%40ss@broker', { protocol: 'mqtt', host: 'broker', username: 'me', password: 'p@ss' }],
])('the client reads the options of mqtt.js from %s', (url, options) => {
  expect(brokerOptions(url)).toEqual(options)
})

import { describe, expect, it } from 'vitest'
import { digestOf } from '../config/control.ts'
import { admit } from './server.ts'
import { RequestError } from '../config/errors.ts'

const local = { host: '127.0.0.1', port: 19_100, tokenDigest: null }
const guarded = { ...local, tokenDigest: digestOf('hunter22') }
const open = { ...guarded, host: '0.0.0.0' }

/** Returns the status of the answer to a request; 200 if it is admitted. */
function status(headers: Parameters<typeof admit>[0], http: Parameters<typeof admit>[1]): number {
  try {
    admit(headers, http)
    return 200
  } catch (error) {
    if (error instanceof RequestError) return error.status
    throw error
  }
}

describe('a request over TCP', () => {
  it.each([
    ['127.0.0.1:19100', 200],
    ['localhost:19100', 200],
    ['LOCALHOST', 200],
    ['[::1]:8080', 200],
    ['evil.example:19100', 403],
    ['localhost.evil.example:19100', 403],
    ['10.0.0.7:19100', 403],
    ['127.0.0.1:19100@evil.example', 403],
    ['', 403],
    [undefined, 403],
  ])('is answered for the Host %j at a loopback address with %i', (host, expected) => {
    expect(status(host === undefined ? {} : { host }, local)).toBe(expected)
  })

  it.each([
    ['http://localhost:19100', 200],
    ['http://evil.example', 403],
    ['http://localhost:3000', 403],
    ['http://localhost', 403],
    ['http://localhost:19100.evil.example', 403],
    ['null', 403],
    ['', 403],
  ])('is answered for the Origin %j with %i', (origin, expected) => {
    expect(status({ host: 'localhost:19100', origin }, local)).toBe(expected)
  })

  it('is admitted from a page of the same server behind a TLS proxy', () => {
    const headers = { host: 'dash.example', origin: 'https://dash.example', authorization: 'Bearer hunter22' }
    expect(status(headers, open)).toBe(200)
  })

  it.each([
    ['Bearer hunter22', 200],
    ['bearer  hunter22', 200],
    ['Bearer hunter2', 401],
    ['Bearer hunter222', 401],
    ['Bearer ', 401],
    ['Basic hunter22', 401],
    ['hunter22', 401],
    [undefined, 401],
  ])('is answered for the Authorization %j with %i if a token is needed', (authorization, expected) => {
    const headers = { host: 'localhost:19100', ...(authorization === undefined ? {} : { authorization }) }
    expect(status(headers, guarded)).toBe(expected)
    expect(status({ ...headers, host: 'machine.example' }, open)).toBe(expected)
  })

  it('is rejected from a page of another server even with the token', () => {
    const authorization = 'Bearer hunter22'
    expect(status({ host: 'localhost', origin: 'http://evil.example', authorization }, guarded)).toBe(403)
    expect(status({ host: 'evil.example', authorization }, guarded)).toBe(403)
  })
})

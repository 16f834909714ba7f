import { describe, expect, it } from 'vitest'
import { refusalOf } from './request-guard.ts'

const ALLOWED = ['ponix.example']

describe('B-11: the guard of requests', () => {
  it.each([
    ['localhost'],
    ['LOCALHOST:19101'],
    ['127.0.0.1:19101'],
    ['127.1.2.3'],
    ['[::1]:19101'],
    ['Ponix.example:443'],
  ])('admits the host %s', (host) => {
    expect(refusalOf({ host }, ALLOWED)).toBeNull()
  })

  it.each([
    [undefined],
    [''],
    ['attacker.example'],
    ['localhost.attacker.example'],
    ['localhost@attacker.example'],
    ['ponix.example.attacker.example'],
    ['10.0.0.1'],
    ['[::]'],
    ['not a host'],
  ])('rejects the host %s', (host) => {
    expect(refusalOf({ host }, ALLOWED)).toEqual({
      status: 421,
      reason: `Host "${host ?? ''}" is not served here; expected localhost, a loopback address or a name in PONIX_HTTP_ALLOWED_HOSTS`,
    })
  })

  it.each([
    ['http://localhost:19101', true],
    ['https://localhost:19101', true],
    ['http://localhost:3000', false],
    ['http://localhost:19101.attacker.example', false],
    ['null', false],
    ['', false],
  ])('for requests to localhost:19101, the origin %s is admitted: %s', (origin, admitted) => {
    const refusal = refusalOf({ host: 'localhost:19101', origin }, ALLOWED)
    const reason = `Origin "${origin}": requests from pages of other servers are rejected`
    expect(refusal).toEqual(admitted ? null : { status: 403, reason })
  })
})

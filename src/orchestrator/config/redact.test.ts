import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isSecretName, redact } from './redact.ts'

describe('redact (O-42)', () => {
  it.each([
    ['"DB_PASSWORD": "hunter2",', '"DB_PASSWORD": ***,'],
    ['"DB_PASSWORD": "hunt"er2", "PORT": "1"', '"DB_PASSWORD": ***, "PORT": "1"'],
    ['"DB_PASSWORD":\n    "hunter2"x', '"DB_PASSWORD":\n    ***'],
    ["'api_key': 'hunter2'", "'api_key': ***"],
    ['"a": "b", "apiToken": 12345}', '"a": "b", "apiToken": ***}'],
    ['"args": ["--password", "hunter2", "-v"]', '"args": ["--password", ***]'],
    ['"args": ["--token=hunter2"]', '"args": ["--token=***]'],
    ['PGPASSWORD=hunter2 psql', 'PGPASSWORD=***'],
    ['postgres://ponix:hunter2@localhost:5432/ponix', 'postgres://ponix:***@localhost:5432/ponix'],
    ['redis://:hunter2@localhost', 'redis://:***@localhost'],
    ['mqtt://a:p@ss@host', 'mqtt://a:***@host'],
    ['mqtt://a:p/ss@host', 'mqtt://a:***@host'],
    ['ponix:hunter2@localhost:1883', 'ponix:***@localhost:1883'],
    ['"command": "my-store", "args": ["--port", "80"]', '"command": "my-store", "args": ["--port", "80"]'],
    ['http://localhost:9201/readyz', 'http://localhost:9201/readyz'],
    ['me@example.org', 'me@example.org'],
  ])('replaces %j by %j', (text, expected) => {
    expect(redact(text)).toBe(expected)
  })

  it('removes the value of a secret name from any line, even a malformed one', () => {
    const name = fc.constantFrom('PASSWORD', 'api_token', 'clientSecret', 'AWS_ACCESS_KEY_ID')
    const shape = fc.constantFrom(
      '"N": "V"',
      '"N": "V',
      '"N": V',
      "'N': 'V',",
      '"N":"x V"]',
      'N=V',
      '{"a": 1, "N": "V"} }',
      '["--N", "V"',
    )
    fc.assert(
      fc.property(name, shape, (name, shape) => {
        expect(redact(shape.replace('N', name).replace('V', 'hunter2'))).not.toContain('hunter2')
      }),
    )
  })

  it('takes time proportional to the text', () => {
    expect(redact('"PASSWORD '.repeat(20_000))).toContain('PASSWORD')
  })
})

describe('isSecretName (O-42)', () => {
  it.each(['PGPASSWORD', 'api_token', 'MY_SECRET_X', 'SshKey'])('returns true for %s', (name) =>
    expect(isSecretName(name)).toBe(true),
  )
  it.each(['PORT', 'PATH', 'PASS_THROUGH'])('returns false for %s', (name) => expect(isSecretName(name)).toBe(false))
})

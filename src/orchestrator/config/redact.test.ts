import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { redact, redactValues } from './redact.ts'

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
    ['psql --password hunter2 -v', 'psql --password *** -v'],
    ['x -token "hunter2 and more" y', 'x -token *** y'],
    ["x --db-pass 'hunter2", 'x --db-pass ***'],
    ['x --token --verbose', 'x --token --verbose'],
    ['DB_PASS=hunter2', 'DB_PASS=***'],
    ['"dbPass": "hunter2", "passenger": "me"', '"dbPass": ***, "passenger": "me"'],
    ['DSN=host=db password=hunter2', 'DSN=***'],
    ['A_TOKEN=x B_TOKEN:\n  hunter2', 'A_TOKEN=***\n  ***'],
    ['http://auth:8080/x and auth:8080: refused', 'http://auth:8080/x and auth:8080: refused'],
    ['http://keycloak:8080/x', 'http://keycloak:8080/x'],
    ['http://keycloak:8080@x', 'http://keycloak:***@x'],
    ['API_KEY:12345', 'API_KEY:***'],
    ['"auth": {"command": "x"}', '"auth": {"command": "x"}'],
    ['auth:hunter2', 'auth:***'],
    ['PWD=/home/me', 'PWD=/home/me'],
    ['docker run -v $PWD:/data x', 'docker run -v $PWD:/data x'],
    ['a:b@c:d@e', 'a:***@e'],
    ['x/y:hunter2@z', 'x/y:***@z'],
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

  it('masks the values of further names', () => {
    const text = 'LICENSE=hunter2\nx --stripe-id hunter2\nPORT=80'
    expect(redact(text)).toBe(text)
    expect(redact(text, ['LICENSE', 'STRIPE_*'])).toBe('LICENSE=***\nx --stripe-id ***\nPORT=80')
  })

  it.each([
    '"PASSWORD ',
    'PASSWORD=',
    'x',
    'aPass',
    ' ',
    '://:',
    'a:',
    ',"',
    '"--key", ',
    '--key ',
    '-',
    '"KEY": 1, ',
    '@a:',
  ])('takes time proportional to 100 kB of %j', (part) => {
    const text = part.repeat(100_000 / part.length)
    for (const whole of [text, `PASSWORD=${text}`, `"KEY":${text}"`]) expect(redact(whole).length).toBeGreaterThan(0)
  })
})

describe('redactValues (O-42)', () => {
  const env = { API_TOKEN: 'hunter22', LICENSE: 'hunter33', AUTH_ENABLED: 'enabled', JWT: 'abc', PORT: '8080' }

  it.each([
    ['cannot find hunter22', 'cannot find ***'],
    ['cannot find hunter33', 'cannot find ***'],
    ['abc is too short to be searched', 'abc is too short to be searched'],
    ['port 8080', 'port 8080'],
  ])('replaces %j by %j', (text, expected) => {
    expect(redactValues(text, { env, secretNames: ['LICENSE'] })).toBe(expected)
  })
})

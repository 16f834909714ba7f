import { describe, expect, it } from 'vitest'
import { isSecretName, isSecretWord } from './secret-names.ts'

const secret = [
  'PGPASSWORD',
  'api_token',
  'MY_SECRET_X',
  'SshKey',
  'PrivateKey',
  'KEYRING',
  'DB_PASS',
  'DB_PASS2',
  'dbPass',
  'PGPASS',
  'MYSQL_PWD',
  'PASSPHRASE',
  'SSH-PASSPHRASE',
  'MYSQL_ROOT_PASSWD',
  'JWT',
  'jwtSigning',
  'JWTIssuer',
  'AUTH',
  'BASIC_AUTH',
  'AUTH_HEADER',
  'Authorization',
  'CREDENTIAL',
  'GOOGLE_CREDENTIALS',
  'SENTRY_DSN',
  'spring.datasource.pass',
  '--pwd',
]
const plain = [
  'PORT',
  'PATH',
  'PWD',
  'OLDPWD',
  '$PWD',
  'AUTHOR',
  'AUTHORITY',
  'PASSENGER',
  'COMPASS',
  'BYPASS',
  'BYPASS_CACHE',
  'PASSTHROUGH',
  'DSNAME',
  'secret_names',
]

describe('isSecretName (O-42)', () => {
  it.each([...secret.map((name) => [name, true] as const), ...plain.map((name) => [name, false] as const)])(
    'of %s is %j',
    (name, expected) => expect(isSecretName(name)).toBe(expected),
  )

  it.each([
    ['LICENSE', ['LICENSE'], true],
    ['license', ['LICENSE'], true],
    ['--license', ['LICENSE'], true],
    ['LICENSE_ID', ['LICENSE'], false],
    ['STRIPE_ID', ['STRIPE_*'], true],
    ['stripe-id', ['STRIPE_*'], true],
    ['A1', ['A?'], true],
    ['A12', ['A?'], false],
    ['PWD', ['*'], false],
  ] as const)('of %s with the further names %j is %j', (name, further, expected) => {
    expect(isSecretName(name, further)).toBe(expected)
  })
})

describe('isSecretWord (O-42)', () => {
  it.each([
    ['--db-pass', 'hunter2', true],
    ['--pass', '-hunter2', true],
    ['-token', 'hunter2', true],
    ['--auth', '--port', false],
    ['--pass=x', 'hunter2', false],
    ['-p', 'hunter2', false],
    ['password', 'hunter2', false],
    [undefined, 'hunter2', false],
  ])('after %j, of %j is %j', (before, word, expected) => expect(isSecretWord(word, before)).toBe(expected))
})

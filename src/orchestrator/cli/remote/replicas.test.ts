import { expect, test } from 'vitest'
import { parseReplicas } from './replicas.ts'

test('reads several names with their numbers', () => {
  expect(parseReplicas(['api=3', 'a=b=01'])).toEqual(
    new Map([
      ['api', 3],
      ['a=b', 1],
    ]),
  )
})

test.each([
  [['api'], 'scale "api": expected NAME=NUMBER, such as api=3'],
  [['=3'], 'scale "=3": expected NAME=NUMBER, such as api=3'],
  [['api='], 'scale "api=": expected a whole number from 1 to 1000 after "="'],
  [['api=-1'], 'scale "api=-1": expected a whole number from 1 to 1000 after "="'],
  [['api=1001'], 'scale "api=1001": expected a whole number from 1 to 1000 after "="'],
  [['api=1e2'], 'scale "api=1e2": expected a whole number from 1 to 1000 after "="'],
  [
    ['api=0'],
    'scale "api=0": to run no instance, run "ponix-orchestrator stop api"; "ponix-orchestrator start api" starts them again',
  ],
  [['api=1', 'api=2'], 'scale "api=2": "api" is named twice'],
])('rejects %j', (typed, message) => {
  expect(() => parseReplicas(typed)).toThrow(message)
})

import { expect, test } from 'vitest'
import { checkScalable } from './scale.ts'

const processes = [
  { name: 'api#1', configName: 'api' },
  { name: 'api#2', configName: 'api' },
  { name: 'web', configName: 'web' },
]

test.each([
  [
    'web',
    '"web" has no "replicas", so it runs once; to run 2, add "replicas": 2 to it in the file and run "ponix-orchestrator reload", which restarts it as "web#1" and so on; nothing was changed',
  ],
  ['api#2', '"api#2" is one instance of "api"; scale "api"; nothing was changed'],
  ['apo', 'unknown process "apo"; did you mean "api"?; nothing was changed'],
  ['other', 'unknown process "other"; the processes are api, web; nothing was changed'],
])('the number of %s cannot be changed', (name, message) => {
  expect(() =>
    checkScalable(
      new Map([
        ['api', 1],
        [name, 2],
      ]),
      processes,
    ),
  ).toThrow(message)
})

test('the number of a process with replicas can be changed', () => {
  expect(() => checkScalable(new Map([['api', 3]]), processes)).not.toThrow()
})

test('a process without replicas can have one instance', () => {
  expect(() => checkScalable(new Map([['web', 1]]), processes)).not.toThrow()
})

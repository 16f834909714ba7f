import { expect, test } from 'vitest'
import { checkScalable } from './scale.ts'

const processes = [
  { name: 'api#1', configName: 'api' },
  { name: 'api#2', configName: 'api' },
  { name: 'web', configName: 'web' },
]

test.each([
  ['web', '"web" has no replicas: add "replicas": 1 to "web" and reload; nothing was changed'],
  ['api#2', '"api#2" is one instance of "api"; scale "api"; nothing was changed'],
  ['apo', 'unknown process "apo"; did you mean "api"?; nothing was changed'],
  ['other', 'unknown process "other"; the processes are api, web; nothing was changed'],
])('the number of %s cannot be changed', (name, message) => {
  expect(() => checkScalable(['api', name], processes)).toThrow(message)
})

test('the number of a process with replicas can be changed', () => {
  expect(() => checkScalable(['api'], processes)).not.toThrow()
})

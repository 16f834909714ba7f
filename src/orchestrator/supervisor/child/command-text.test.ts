import { describe, expect, test } from 'vitest'
import { commandText } from './command-text.ts'

describe('a command line in a message', () => {
  test.each([
    [['sleep', '7777'], 'sleep 7777'],
    [[], ''],
    [['sh', '-c', 'echo 1\n\techo 2'], 'sh -c echo 1 echo 2'],
    [['app', '--token', 'abc', '--port', '80'], 'app --token *** --port 80'],
    [['app', '--api-key=abc'], 'app --api-key=***'],
    [['mongod', '--auth', '--port', '27017'], 'mongod --auth --port 27017'],
    [['app', '--license', 'abc', 'LICENSE=abc'], 'app --license *** LICENSE=***'],
    [['env', 'DB_PASSWORD=hunter22'], 'env DB_PASSWORD=***'],
    [['psql', 'postgres://me:hunter22@db/x'], 'psql postgres://me:***@db/x'],
    [['a'.repeat(60)], 'a'.repeat(60)],
    [['é'.repeat(61)], `${'é'.repeat(59)}…`],
  ])('%j is %s', (args, text) => {
    expect(commandText(args, ['LICENSE'])).toBe(text)
  })

  test('is cut after secrets are masked, so that no part of a secret is shown', () => {
    expect(commandText([`--password=${'x'.repeat(100)}`])).toBe('--password=***')
  })
})

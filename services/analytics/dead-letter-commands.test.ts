import { Command, CommanderError } from 'commander'
import { expect, test } from 'vitest'
import { addDeadLetterCommands } from './dead-letter-commands.ts'

test.each([
  [['list', '--nonsense'], "unknown option '--nonsense'"],
  [['list', '--limit', '0'], 'expected a whole number of 1 or more'],
  [['list', '--since', 'yesterday'], 'expected a duration such as 90s, 15m, 2h or 7d'],
  [['list', '--since', '2026-13-45'], 'expected a duration such as 90s, 15m, 2h or 7d'],
  [['list', '--stream', 'a.>'], 'expected 1 to 128 letters'],
  [['show', '1x'], 'expected a whole number of 1 or more'],
  [['show'], "missing required argument 'sequence'"],
  [['replay'], 'expected exactly one of: numbers of dead letters'],
  [['replay', '1', '--all'], 'filters, --all'],
  [['bury'], "unknown command 'bury'"],
])('N-4: wrong usage is an error before the environment is read: %j', async (args, message) => {
  const program = new Command('ponix-analytics').exitOverride().configureOutput({ outputError: () => undefined })
  addDeadLetterCommands(program, () => {
    throw new Error('the environment was read')
  })
  const error: unknown = await program.parseAsync(['dead-letters', ...args], { from: 'user' }).catch((reason) => reason)
  expect(error).toBeInstanceOf(CommanderError)
  expect(error).toMatchObject({ message: expect.stringContaining(message) })
})

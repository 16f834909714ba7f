import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseUnit } from '../../../test/rig/orchestrator/systemd.ts'
import { timeSpan } from './exported-graph.ts'
import { environmentWord, execWord, wholeLine } from './systemd-commands.ts'

/** Expands the words of a command line as the manager does. */
function expandVariables(word: string): string {
  expect(word.replaceAll('$$', '')).not.toContain('$')
  return word.replaceAll('$$', '$')
}

const nasty = [
  '',
  ' ',
  ';',
  '"',
  "'",
  '\\',
  '$',
  '$$',
  '${HOME}',
  '$HOME',
  '%',
  '%h',
  '%%',
  '\n',
  '\t',
  '#',
  '\\n',
  '&&',
  '|',
  '@',
  '-',
  'ü→🜁',
]
const word = fc
  .array(fc.oneof(fc.constantFrom(...nasty), fc.string({ unit: 'binary', maxLength: 3 })), { maxLength: 8 })
  .map((parts) => parts.join('').replaceAll('\0', ''))
/** Characters that the dump does not escape, so that words would end at them. */
const unreadable = /[\u0080-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]|\p{Cn}|\p{Co}/u

describe('the quoting of units, read back by systemd itself (O-10)', () => {
  it('keeps every word unchanged: no shell, specifier or variable is applied', async () => {
    const words = fc.array(
      word.filter((text) => !unreadable.test(text)),
      { maxLength: 6 },
    )
    const commands = fc.sample(words, { numRuns: 400, seed: 42 })
    const lines = commands.map(
      (command) => `ExecStart=${['/bin/echo', ...command.map((text) => execWord({ text }))].join(' ')}`,
    )
    const unit = await parseUnit(`[Service]\nType=oneshot\n${lines.join('\n')}\n`)
    expect(unit.commands.map(([, ...rest]) => rest.map(expandVariables))).toEqual(commands)
  })

  it('writes a secret as a variable that is one word', async () => {
    const { commands } = await parseUnit(`[Service]\nExecStart=/bin/echo ${execWord({ secret: 'A_1' })} x\n`)
    expect(commands).toEqual([['/bin/echo', '${A_1}', 'x']])
  })

  it('keeps variables unchanged', async () => {
    const values = nasty.filter((value) => value !== '\n').map((value, index) => [`V${index}`, `a${value}b`] as const)
    const lines = values.map(([name, value]) => `Environment=${environmentWord(name, value)}`)
    const unit = await parseUnit(`[Service]\nExecStart=/bin/true\n${lines.join('\n')}\n`)
    expect(unit.environment).toEqual(values.map(([name, value]) => `${name}=${value}`))
  })

  it('escapes a percent sign in a folder', () => {
    expect(wholeLine('/srv/100% sure')).toBe('/srv/100%% sure')
  })

  it.each([
    [500, '500ms'],
    [10_000, '10s'],
    [1500, '1500ms'],
  ])('writes %d ms as %s', (ms, expected) => expect(timeSpan(ms)).toBe(expected))
})

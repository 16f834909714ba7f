import { describe, expect, it } from 'vitest'
import { handleKeys, IDLE, KEY_HELP, type KeyEffect, promptText } from './keys.ts'

const names = ['web', 'api', 'worker#1', 'worker#2']

/** Returns the effects of pieces of input without the printed texts, and the last printed text. */
function press(...pieces: readonly string[]) {
  let state = IDLE
  const effects: KeyEffect[] = []
  for (const piece of pieces) {
    const step = handleKeys(state, piece, names)
    state = step.state
    effects.push(...step.effects)
  }
  const printed = effects.flatMap((effect) => (effect.type === 'print' ? [effect.text] : []))
  return { effects: effects.filter(({ type }) => type !== 'print'), printed, isIdle: state.prompt === null }
}

const restart = (name: string) => [{ type: 'restart', name }]

describe('a key', () => {
  it.each([
    ['s', [{ type: 'status' }]],
    ['l', [{ type: 'clear' }]],
    ['q', [{ type: 'quit' }]],
    ['x', []],
    ['\u001b[A', []],
    ['rm -rf /\n', []],
    ['sql', []],
    ['\u001b[200~q\u001b[201~', []],
  ])('%j has the effects %j', (input, expected) => {
    expect(press(input).effects).toEqual(expected)
  })

  it('prints the help, or an empty line', () => {
    expect(press('?', '\n').printed).toEqual([KEY_HELP, '\n'])
  })
})

describe('the prompt of r', () => {
  it('lists the processes with their numbers', () => {
    expect(press('r').printed[0]).toMatch(/1 web {2}2 api {2}3 worker#1 {2}4 worker#2 {2}all\n$/)
  })

  it.each([
    ['a digit', ['2'], 'api'],
    ['a name', ['w', 'e', 'b', '\n'], 'web'],
    ['a name that arrives in one piece', ['web\n'], 'web'],
    ['the only name that begins so', ['a', 'p', '\r'], 'api'],
    ['all', ['all\n'], 'all'],
    ['the name of replicas', ['worker\n'], 'worker'],
    ['the beginning of the name of replicas', ['wor\n'], 'worker'],
    ['one replica', ['worker#2\n'], 'worker#2'],
    ['a corrected name', ['x', '\u007f', 'web', '\n'], 'web'],
    ['a name after an erased line', ['xyz', '\u0015', 'web', '\n'], 'web'],
    ['a completed name', ['wo', '\t', '2', '\n'], 'worker#2'],
    ['a name with cursor keys', ['we', '\u001b[D', 'b', '\n'], 'web'],
  ] as const)('restarts the process of %s', (_, keys, expected) => {
    expect(press('r', ...keys)).toMatchObject({ effects: restart(expected), isIdle: true })
  })

  it.each([
    ['Esc', ['w', '\u001b'], /nothing is restarted/],
    ['Ctrl-D', ['\u0004'], /nothing is restarted/],
    ['Enter', ['\n'], /nothing is restarted/],
    ['an unknown name', ['apo\n'], /no process "apo"; did you mean "api"\?/],
    ['an ambiguous name', ['w\n'], /^"w" is ambiguous: web, worker#1, worker#2\n$/],
    ['an ambiguous replica', ['worker#\n'], /^"worker#" is ambiguous: worker#1, worker#2\n$/],
    ['a number that is too large', ['7', '\n'], /no process "7"/],
  ] as const)('restarts nothing after %s', (_, keys, message) => {
    const { effects, printed, isIdle } = press('r', ...keys)
    expect(effects).toEqual([])
    expect(printed.at(-1)).toMatch(message)
    expect(isIdle).toBe(true)
  })

  it('takes no other key', () => {
    expect(press('r', 'q', 's').effects).toEqual([])
  })

  it('needs Enter after a digit if there are more than nine processes', () => {
    const many = Array.from({ length: 12 }, (_, index) => `p${index + 1}`)
    const asked = handleKeys(IDLE, 'r', many).state
    const typed = handleKeys(asked, '1', many)
    expect(typed.effects).toEqual([])
    expect(promptText(typed.state)).toBe('number or name (Esc cancels): 1')
    const both = handleKeys(typed.state, '2', many).state
    expect(handleKeys(both, '\n', many).effects).toContainEqual({ type: 'restart', name: 'p12' })
  })
})

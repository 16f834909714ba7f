import { describe, expect, it } from 'vitest'
import { PromptLine } from './prompt-line.ts'

const ERASE = '\r\u001b[K'

/** A prompt on virtual time, with everything that its terminal receives. */
function openPrompt(columns = 80) {
  const written: string[] = []
  const clock = { now: 0 }
  const stream = { columns, write: (text: string) => written.push(text) > 0 }
  const prompt = new PromptLine(stream, () => clock.now)
  const print = (lines: string) => {
    const [before, after] = prompt.around()
    written.push(before + lines + after)
  }
  return { prompt, print, written, clock }
}

describe('a line at the bottom of the terminal', () => {
  it('changes nothing while it is not shown', () => {
    const { print, written, prompt } = openPrompt()
    print('a\n')
    prompt.set('name: ')
    prompt.set(null)
    print('b\n')
    expect(written).toEqual(['a\n', `${ERASE}name: `, ERASE, 'b\n'])
  })

  it('is erased before other lines and drawn after them', () => {
    const { print, written, prompt, clock } = openPrompt()
    prompt.set('name: w')
    clock.now = 50
    print('a\n')
    expect(written.at(-1)).toBe(`${ERASE}a\nname: w`)
  })

  it('is drawn at most every 50 ms, and again after the last line', async () => {
    const { print, written, prompt } = openPrompt()
    prompt.set('name: ')
    for (const line of ['a\n', 'b\n', 'c\n']) print(line)
    expect(written.slice(1)).toEqual([`${ERASE}a\n`, 'b\n', 'c\n'])
    await expect.poll(() => written.at(-1)).toBe(`${ERASE}name: `)
    prompt.set(null)
  })

  it('is not drawn after its end', () => {
    const { print, written, prompt, clock } = openPrompt()
    prompt.set('name: ')
    print('a\n')
    prompt.set(null)
    clock.now = 100
    print('b\n')
    expect(written.slice(1)).toEqual([`${ERASE}a\n`, 'b\n'])
  })

  it('is cut at its beginning if the terminal is too narrow', () => {
    const { written, prompt } = openPrompt(10)
    prompt.set('number or name: worker')
    expect(written).toEqual([`${ERASE}e: worker`])
  })
})

import { pathToFileURL } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { builtProgram } from '../../../../test/rig/program.ts'
import { Grep } from './grep.ts'

const worker = pathToFileURL(builtProgram('grep-worker'))
const ESCAPE = '\u001b'
const textOf = (text: string) => text
/** Needs exponential time for this text. */
const endless = { pattern: /^(a+)+$/, text: `${'a'.repeat(60)}!` }

describe('Grep (O-45)', () => {
  it('selects the items whose text matches, in their order, over several batches', async () => {
    using grep = new Grep(/7$/, { worker })
    const texts = Array.from({ length: 100 }, (_, index) => `${'x'.repeat(10_000)}${index}`)
    expect(await grep.select(texts, textOf)).toEqual(texts.filter((text) => text.endsWith('7')))
    expect(await grep.select([], textOf)).toEqual([])
  })

  it('matches a text as it is and without its escape sequences', async () => {
    using grep = new Grep(/^error$/i, { worker })
    expect(await grep.select(['\u001b[31mERROR\u001b[0m', 'an error', 'Error'], textOf)).toEqual([
      '\u001b[31mERROR\u001b[0m',
      'Error',
    ])
    using raw = new Grep(new RegExp(`${ESCAPE}\\[31m`), { worker })
    expect(await raw.select(['\u001b[31mERROR', 'ERROR'], textOf)).toEqual(['\u001b[31mERROR'])
  })

  it('rejects when the expression takes too long, and from then on', async () => {
    using grep = new Grep(endless.pattern, { worker, timeLimitMs: 200 })
    await expect(grep.select([endless.text], textOf)).rejects.toMatchObject({
      status: 400,
      message: 'grep: the expression took longer than 0.2 s; simplify it',
    })
    await expect(grep.select(['aaa'], textOf)).rejects.toThrow('grep: the expression took longer than 0.2 s')
  })

  it('rejects when its thread cannot run', async () => {
    using grep = new Grep(/a/, { worker: new URL('./missing.js', import.meta.url) })
    await expect(grep.select(['a'], textOf)).rejects.toThrow(/^grep: Cannot find module/)
  })

  it('resolves a running search to nothing when it is closed', async () => {
    const grep = new Grep(endless.pattern, { worker })
    const selected = grep.select([endless.text], textOf)
    grep[Symbol.dispose]()
    expect(await selected).toEqual([])
  })

  it('limits the number of threads and admits new ones when others have ended', async () => {
    const open = () => {
      try {
        return new Grep(/a/, { worker })
      } catch {
        return null
      }
    }
    const all: Grep[] = []
    // The threads of the tests before can still be ending.
    while (all.length < 16) all.push(await vi.waitUntil(() => open()))
    expect(() => new Grep(/a/, { worker })).toThrow('grep: 16 other searches are running; try again later')
    for (const grep of all) grep[Symbol.dispose]()
    const next = await vi.waitUntil(() => open())
    next[Symbol.dispose]()
  })
})

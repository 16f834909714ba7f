import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { resultOf } from '../../../test/rig/adapters/cel-result.ts'
import { bytesFunctions } from './functions/bytes-functions.ts'
import { createPayloadConversionChecker } from './static-check.ts'

const page = readFileSync(new URL('../../../docs/decoders.md', import.meta.url), 'utf8')
const [functions = '', ...sections] = page.split('\n### ')

const examples = sections.map((section) => ({
  title: section.split('\n')[0] ?? '',
  source: /```cel\n([^]*?)```/.exec(section)?.[1] ?? '',
  rows: [...section.matchAll(/^\| `([0-9A-F]+)` *\| `(\{.*\})` *\|$/gm)].map(([, payload = '', result = '']) => ({
    payload,
    result,
  })),
}))

describe('P-2: the examples of docs/decoders.md', () => {
  it('are three formats with two payloads each', () => {
    expect(examples.map(({ rows }) => rows.length)).toEqual([2, 2, 2])
  })

  it.each(examples)('$title is accepted and returns the results of its table', ({ source, rows }) => {
    expect(createPayloadConversionChecker().check(source)).toEqual({ ok: true })
    for (const { payload, result } of rows) expect(resultOf(source, payload)).toEqual(JSON.parse(result))
  })
})

it('docs/decoders.md names every function for bytes', () => {
  const names = new Set(bytesFunctions.map(({ name }) => name))
  expect([...names].filter((name) => !functions.includes(`\`${name}(`))).toEqual([])
})

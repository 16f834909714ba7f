import { expect, test } from 'vitest'
import { linePrefix, prefixWidth } from './prefix.ts'

test('all prefixes of the same names have the same width (O-31)', () => {
  const names = ['a', 'orchestrator', 'long-name']
  const width = prefixWidth(names)
  expect(names.map((name) => linePrefix(name, width, null))).toEqual([
    '[a]            ',
    '[orchestrator] ',
    '[long-name]    ',
  ])
})

test('a colour belongs to its index, ends with the name, and takes no width', () => {
  const plain = linePrefix('a', 8, null)
  const coloured = [0, 1, 10].map((index) => linePrefix('a', 8, index))
  // oxlint-disable-next-line no-control-regex -- the colours are what is looked at
  expect(coloured.map((text) => text.replaceAll(/\u001b\[\d+m/g, ''))).toEqual([plain, plain, plain])
  expect(coloured[0]).not.toBe(coloured[1])
  expect(coloured[0]).toBe(coloured[2])
  expect(coloured[0]).toMatch(/\[39m +$/)
})

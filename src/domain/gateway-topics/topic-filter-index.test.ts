import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { filtersOverlap } from './topic-filter.ts'
import { TopicFilterIndex } from './topic-filter-index.ts'

const level = fc.constantFrom('', 'a', 'b', '$s')
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 3 }), fc.constantFrom('', 'a', '+', '#', '$s'))
  .map(([levels, last]) => [...levels, last].join('/'))
  .filter((text) => text !== '')

it('G-16: an index finds another filter if and only if one overlaps', () => {
  fc.assert(
    fc.property(fc.array(filter, { minLength: 1 }), (filters) => {
      const entries = filters.map((text) => ({ text }))
      const index = new TopicFilterIndex<{ readonly text: string }>(1e6)
      for (const entry of entries) index.add(entry.text, entry)
      for (const own of entries) {
        const overlapping = entries.filter((entry) => entry !== own && filtersOverlap(entry.text, own.text))
        const found = index.find(own.text, own)
        expect(overlapping.length === 0 ? [undefined] : overlapping).toContain(found)
      }
    }),
  )
})

it('G-16: an index does not find filters that share only the empty topic', () => {
  const index = new TopicFilterIndex<string>(1e6)
  for (const text of ['+', '/#']) index.add(text, text)
  expect([index.find('+', '+'), index.find('/#', '/#')]).toEqual([undefined, undefined])
})

it('G-16: an index stops after the limit of visited levels', () => {
  const index = new TopicFilterIndex<string>(5)
  index.add('a/b', 'first')
  index.add('a/c', 'second')
  expect([index.find('a/b', ''), index.find('a/b', '')]).toEqual([undefined, undefined])
})

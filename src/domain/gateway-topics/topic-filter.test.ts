import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { filtersOverlap, isTopicFilter } from './topic-filter.ts'

describe('G-16: a topic filter', () => {
  it.each([
    'a',
    '+',
    '#',
    'a/+/b',
    'a/#',
    '/',
    '//',
    '/a',
    'a/',
    '+/+',
    '$SYS/#',
    '$share/group/a/#',
    '$share/g//',
    'a b',
  ])('is %j', (filter) => {
    expect(isTopicFilter(filter)).toBe(true)
  })

  it.each([
    '',
    'a+',
    'a/b+',
    '#/a',
    'a#',
    'a/+b/c',
    'a\0',
    '$share/g',
    '$share/g/',
    '$share//a',
    '$share/+/a',
    '$share/',
  ])('is not %j', (filter) => {
    expect(isTopicFilter(filter)).toBe(false)
  })

  it('has at most 65,535 bytes', () => {
    expect(isTopicFilter('a'.repeat(65_535))).toBe(true)
    expect(isTopicFilter('a'.repeat(65_536))).toBe(false)
    expect(isTopicFilter('ü'.repeat(32_768))).toBe(false)
  })

  it('has at most 200 levels', () => {
    expect(isTopicFilter('/'.repeat(199))).toBe(true)
    expect(isTopicFilter('/'.repeat(200))).toBe(false)
  })
})

describe('G-16: two topic filters', () => {
  it.each([
    ['a/b', 'a/b'],
    ['a/+', 'a/b'],
    ['a/+', '+/b'],
    ['a/#', 'a'],
    ['a/#', 'a/b/c'],
    ['#', 'a/b'],
    ['#', '/'],
    ['+', '#'],
    ['+/+', '/'],
    ['+/b/#', 'a/+'],
    ['$SYS/#', '$SYS/+/b'],
    ['$share/g/a/+', 'a/b'],
    ['$share/g/a', '$share/g/a'],
    ['$share/g/a', '$share/h/a'],
  ])('overlap: %j and %j', (a, b) => {
    expect([filtersOverlap(a, b), filtersOverlap(b, a)]).toEqual([true, true])
  })

  it.each([
    ['a/b', 'a/c'],
    ['a', 'A'],
    ['a/+', 'a'],
    ['a/+', 'a/b/c'],
    ['a', '/a'],
    ['a', 'a/'],
    ['a/#', 'b/#'],
    ['+/b', 'a/c'],
    ['#', '$SYS/a'],
    ['+/a', '$SYS/a'],
    ['$share/g/a', '$share/g/b'],
    ['+', '/#'],
  ])('do not overlap: %j and %j', (a, b) => {
    expect([filtersOverlap(a, b), filtersOverlap(b, a)]).toEqual([false, false])
  })

  const level = fc.constantFrom('', 'a', 'b', '$s')
  const filter = fc
    .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 3 }), fc.constantFrom('', 'a', '+', '#', '$s'))
    .map(([levels, last]) => [...levels, last].join('/'))
    .filter((text) => text !== '')
  const topics = allTopics(['', 'a', 'b', 'c', '$s'], 5)

  it('overlap if and only if a topic matches both', () => {
    fc.assert(
      fc.property(filter, filter, (a, b) => {
        expect(filtersOverlap(a, b)).toBe(topics.some((topic) => matches(a, topic) && matches(b, topic)))
      }),
    )
  })
})

/** Returns the topics of up to `depth` levels. */
function allTopics(names: readonly string[], depth: number): readonly string[] {
  let longest = [...names]
  const all = [...longest]
  for (let length = 2; length <= depth; length += 1) {
    longest = longest.flatMap((topic) => names.map((name) => `${topic}/${name}`))
    all.push(...longest)
  }
  return all.filter((topic) => topic !== '')
}

/** Matches a topic by a regular expression, after MQTT 3.1.1, 4.7. */
function matches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false
  const pattern = filter
    .replaceAll('$', String.raw`\$`)
    .replaceAll('+', '[^/]*')
    .replace(/^#$/, '.*')
    .replace(/\/#$/, '(/.*)?')
  return new RegExp(`^${pattern}$`).test(topic)
}

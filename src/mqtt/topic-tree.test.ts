import { expect, it } from 'vitest'
import { TopicTree } from './topic-tree.ts'

const FILTERS = ['a', 'a/b', 'a/+', '+/b', '#', 'a/#', '+', '$SYS/#', 'a//b', '+/+', '$share/group/s/+', 'a/+/c']

const tree = new TopicTree<string>()
for (const filter of FILTERS) tree.add(filter, filter)

it.each([
  ['a', ['a', '+', '#', 'a/#']],
  ['a/b', ['a/b', 'a/+', '+/b', '#', 'a/#', '+/+']],
  ['a/', ['a/+', '#', 'a/#', '+/+']],
  ['/b', ['+/b', '+/+', '#']],
  ['a//b', ['a//b', '#', 'a/#']],
  ['a/x/c', ['a/+/c', '#', 'a/#']],
  ['$SYS/uptime', ['$SYS/#']],
  ['s/1', ['$share/group/s/+', '#', '+/+']],
  ['', ['#', '+']],
  ['constructor', ['#', '+']],
])('G-8 the topic %j matches the filters %j', (topic, filters) => {
  expect(new Set(tree.match(topic))).toEqual(new Set(filters))
})

it('G-8 a filter that is deleted does not match any more, and others of the same levels do', () => {
  const own = new TopicTree<number>()
  own.add('a/b', 1)
  own.add('a/b', 2)
  own.add('a/b/c', 3)
  own.delete('a/b', 1)
  own.delete('a/x', 1)
  expect(own.match('a/b')).toEqual([2])
  own.delete('a/b', 2)
  expect([own.match('a/b'), own.match('a/b/c')]).toEqual([[], [3]])
})

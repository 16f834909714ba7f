import { expect, it } from 'vitest'
import { memoryLimit } from './runtime.ts'

it.each([
  ['512m', '512MiB'],
  ['1.5g', '1.5GiB'],
  ['64kb', '64KiB'],
  ['1000b', 1000],
  [1000, 1000],
  ['0', null],
  ['much', null],
])('translates the size %j to %j', (size, expected) => expect(memoryLimit(size)).toBe(expected))

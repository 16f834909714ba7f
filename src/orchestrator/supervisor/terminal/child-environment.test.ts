import { describe, expect, it } from 'vitest'
import { colourDepth, terminalVariables } from './child-environment.ts'
import { sizeBesidePrefix, sizeOf, smallest } from './size.ts'

const terminal = { depth: 2, columns: 65 } as const

describe('terminalVariables', () => {
  it.each([
    ['a terminal with colours', terminal, {}, { FORCE_COLOR: '2', COLUMNS: '65' }],
    ['no terminal', null, {}, {}],
    ['FORCE_COLOR of the user', terminal, { FORCE_COLOR: '0' }, { COLUMNS: '65' }],
    ['NO_COLOR of the user', terminal, { NO_COLOR: '1' }, { COLUMNS: '65' }],
    ['an empty NO_COLOR, which means nothing', terminal, { NO_COLOR: '' }, { FORCE_COLOR: '2', COLUMNS: '65' }],
    ['COLUMNS of the user', terminal, { COLUMNS: '200' }, { FORCE_COLOR: '2' }],
  ])('%s', (_, own, environment, expected) => {
    expect(terminalVariables(own, environment)).toEqual(expected)
  })
})

describe('colourDepth', () => {
  it.each([
    [1, null],
    [4, 1],
    [8, 2],
    [24, 3],
  ])('is for %d bits %s', (bits, expected) => {
    expect(colourDepth(bits)).toBe(expected)
  })
})

describe('the size of a terminal', () => {
  it.each([
    [{ columns: 100, rows: 40 }, 15, { columns: 85, rows: 40 }],
    [{ columns: 30, rows: 40 }, 15, { columns: 20, rows: 40 }],
    [null, 15, { columns: 80, rows: 24 }],
  ])('of %j beside a prefix of %d columns is %j', (size, prefix, expected) => {
    expect(sizeBesidePrefix(size, prefix)).toEqual(expected)
  })

  it.each([
    [
      { isTTY: true, columns: 100, rows: 40 },
      { columns: 100, rows: 40 },
    ],
    [{ columns: 100, rows: 40 }, null],
    [{ isTTY: true, columns: 0, rows: 0 }, null],
    [{ isTTY: true }, null],
  ])('of the stream %j is %j', (stream, expected) => {
    expect(sizeOf(stream)).toEqual(expected)
  })

  it('fits into all viewers', () => {
    const sizes = [
      { columns: 100, rows: 20 },
      { columns: 80, rows: 40 },
    ]
    expect(smallest(sizes)).toEqual({ columns: 80, rows: 20 })
    expect(smallest([])).toBeNull()
  })
})

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { interpolate } from './variables.ts'

const scope = new Map([
  ['PORT', '8080'],
  ['EMPTY', ''],
  ['TRAP', '${PORT}'],
])
const lookup = (name: string) => scope.get(name)

describe('interpolate', () => {
  it.each([
    ['--port=${PORT}', '--port=8080'],
    ['${PORT}${PORT}', '80808080'],
    ['${MISSING:-7}', '7'],
    ['${PORT:-7}', '8080'],
    ['${EMPTY}', ''],
    ['${EMPTY:-7}', '7'],
    ['${MISSING:-}', ''],
    ['${MISSING:-${PORT}}', '8080'],
    ['${MISSING:-a${ALSO_MISSING:-b}c}', 'abc'],
    ['${PORT:-${MISSING}}', '8080'],
    ['${TRAP}', '${PORT}'],
    ['$PORT costs 5$ or $$', '$PORT costs 5$ or $$'],
    ['$${PORT}', '${PORT}'],
    ['{"json": {}}', '{"json": {}}'],
  ])('replaces %j by %j', (text, expected) => {
    expect(interpolate(text, lookup)).toMatchObject({ text: expected, problems: [] })
  })

  it('names every variable that is unset and has no default, once', () => {
    const { problems } = interpolate('${A} ${B:-x} ${A} ${C:-${D}}', lookup)
    expect(problems).toEqual([
      '${A} is not set and has no default; set A, or write ${A:-default}',
      '${D} is not set and has no default; set D, or write ${D:-default}',
    ])
  })

  it('advises no default for a secret', () => {
    expect(interpolate('${DB_PASSWORD}', lookup).problems).toEqual([
      '${DB_PASSWORD} is not set; set DB_PASSWORD in the environment, or in an "env_file"',
    ])
  })

  it.each(['${', '${}', '${1A}', '${PORT', '${PORT:+x}', '${MISSING:-x', '${#a[@]}', '${PORT-7}'])(
    'rejects %j',
    (text) => {
      expect(interpolate(text, lookup).problems[0]).toContain(
        'expected ${NAME} or ${NAME:-default}; write $${ for a literal ${',
      )
    },
  )

  it('looks up only the variables whose value is used', () => {
    const names: string[] = []
    interpolate('${PORT:-${UNUSED:-${A}}} $${QUOTED} ${X:-1}', (name) => {
      names.push(name)
      return lookup(name)
    })
    expect(new Set(names)).toEqual(new Set(['PORT', 'X']))
  })

  it.each([
    ['${PORT}${MISSING:-x}', []],
    ['a${EMPTY}', ['EMPTY']],
    ['a${MISSING:-}', ['MISSING']],
    ['${PORT:-${EMPTY}}', []],
    ['${MISSING:-${EMPTY}}', ['EMPTY', 'MISSING']],
  ])('of %j names the variables in whose place nothing is: %j', (text, expected) => {
    expect([...interpolate(text, lookup).empty]).toEqual(expected)
  })

  it('leaves any text without ${ unchanged', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!text.includes('${'))
        expect(interpolate(text, lookup)).toMatchObject({ text, problems: [] })
      }),
    )
  })
})

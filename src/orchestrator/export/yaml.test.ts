import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseYamlDocuments } from '../../../test/rig/configuration/export.ts'
import { renderYaml, type YamlValue } from './yaml.ts'

const words = [
  '',
  'yes',
  'No',
  'null',
  '~',
  '1',
  '1e3',
  '0x1f',
  '- a',
  'a: b',
  '# c',
  '"',
  "'",
  '{',
  '*a',
  '&a',
  '!t',
  '%',
  '@',
  '`',
  ' a ',
  'a\n b',
  '\u0085',
  '---',
  '...',
  '12:30:45',
  '2001-01-01',
  '=',
  '<<',
  'ü→🜁',
]
const text = fc.oneof(fc.constantFrom(...words), fc.string({ unit: 'binary' }), fc.string())
const { value } = fc.letrec<{ value: YamlValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    text,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      text.filter((key) => key !== '__proto__' && key !== '<<'),
      tie('value'),
      { maxKeys: 3, noNullPrototype: true },
    ),
  ),
}))

describe('renderYaml', () => {
  it('writes any value so that a YAML reader returns it (O-10)', () => {
    fc.assert(
      fc.property(value, (value) => {
        expect(parseYamlDocuments(renderYaml(value))).toEqual([value])
      }),
    )
  })

  it('writes block style and omits undefined values', () => {
    const text = renderYaml({ a: { b: [1, { c: 'x', d: ['z'] }], e: undefined }, f: [], g: 'yes' })
    expect(text).toBe('a:\n  b:\n    - 1\n    - c: x\n      d:\n        - z\nf: []\ng: "yes"\n')
  })
})

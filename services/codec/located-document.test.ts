import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { parseLocated } from './located-document.ts'

const JSON5_TEXT = `// a list
[
  { description: 'it\\'s', /* [ */ "input": { bytes: [1, 0x2, +3,], }, output: {
      data: { t: -.5 }, } },
  "a // b",
  [[], {}],
]
`
const YAML_TEXT = `# a codec
uplinkDecoder:
  fileName: a.js
  examples:
    - description: "one"
      input:
        fPort: 1
        bytes: [0, 0x20]
`

describe('P-13: a file of samples', () => {
  it('is JSON5, with the line of each value', () => {
    const { value, lineOf } = parseLocated('a.json', JSON5_TEXT)
    const [first, ...others] = value as readonly unknown[]
    expect(first).toEqual({ description: "it's", input: { bytes: [1, 2, 3] }, output: { data: { t: -0.5 } } })
    expect(others).toEqual(['a // b', [[], {}]])
    const paths = [[], [0], [0, 'input', 'bytes', 2], [0, 'output', 'data', 't'], [0, 'nothing', 'x'], [1], [2, 1]]
    expect(paths.map(lineOf)).toEqual([2, 3, 3, 4, 3, 5, 6])
  })

  it('is YAML with the extension .yaml, with the line of each value', () => {
    const { value, lineOf } = parseLocated('codec.yaml', YAML_TEXT)
    expect(value).toMatchObject({ uplinkDecoder: { examples: [{ input: { bytes: [0, 32] } }] } })
    const examples = ['uplinkDecoder', 'examples'] as const
    expect([[], [...examples, 0], [...examples, 0, 'input', 'bytes', 1], ['none']].map(lineOf)).toEqual([2, 5, 8, 2])
  })

  it.each([
    ['a.json', '[\n  {"a": }\n]', "a.json:2: invalid JSON5: invalid character '}' at 2:9"],
    ['a.json5', '', 'a.json5:1: invalid JSON5: invalid end of input at 1:1'],
    ['a.yaml', 'a: 1\nb: [1\n', 'a.yaml:3: invalid YAML: '],
    ['a.yml', 'a: &a [x]\na: 2', 'a.yml:2: invalid YAML: Map keys must be unique'],
  ])('%s with %j is rejected with its line', (file, text, message) => {
    expect(() => parseLocated(file, text)).toThrow(message)
  })

  it('has the line of each value for any JSON', () => {
    const key = fc.string().filter((each) => each !== '__proto__')
    const json = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        fc.string(),
        fc.double({ noNaN: true }),
        fc.array(tie('value')),
        fc.dictionary(key, tie('value')),
      ),
    })).value
    fc.assert(
      fc.property(fc.array(json, { minLength: 1 }), (values) => {
        const lines = values.map((value) => JSON.stringify(value))
        const { lineOf } = parseLocated('a.json', `[\n${lines.join(',\n')}\n]`)
        expect(values.map((_, index) => lineOf([index]))).toEqual(values.map((_, index) => index + 2))
      }),
    )
  })
})

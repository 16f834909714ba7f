import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allKeys, nodeAt, positionOf, toValue } from './json-source.ts'
import { JsonSyntaxError } from '../errors.ts'
import { parseJson } from './json-parser.ts'

const parse = (text: string) => parseJson({ name: 'x.json', folder: '/', text })

function syntaxError(text: string): { message: string; offset: number } {
  try {
    parse(text)
  } catch (error) {
    if (error instanceof JsonSyntaxError) return { message: error.message, offset: error.offset }
    throw error
  }
  throw new Error(`was accepted: ${text}`)
}

function accepts(parse: (text: string) => unknown, text: string): boolean {
  try {
    parse(text)
    return true
  } catch {
    return false
  }
}

const stringOrComment = /"(?:[^"\\]|\\.)*"?|\/\/[^\n\r]*|\/\*[^]*?\*\//g
const stringOrLastComma = /"(?:[^"\\]|\\.)*"?|(?<=[\w"}\]]\s*),(?=\s*[}\]])/g

/** Replaces comments, and commas after a last entry, with blanks. */
function toPlainJson(text: string): string {
  const blank = (found: string) => (found.startsWith('"') ? found : ' ')
  return text.replaceAll(stringOrComment, blank).replaceAll(stringOrLastComma, blank)
}

describe('parseJson (O-20)', () => {
  it('reads what JSON.parse reads, with any indentation', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        expect(toValue(parse(text))).toEqual(JSON.parse(text))
      }),
    )
  })

  it('accepts and rejects the same texts as JSON.parse, except for comments and last commas', () => {
    const damage = fc.record({
      at: fc.nat(),
      drop: fc.nat(2),
      insert: fc.constantFrom('', ...Array.from('{}[]",:\\/-+.0e1tnu \n\t\u0001')),
    })
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), damage, (value, { at, drop, insert }) => {
        const text = JSON.stringify(value, null, 1)
        const index = at % (text.length + 1)
        const damaged = text.slice(0, index) + insert + text.slice(index + drop)
        const plain = toPlainJson(damaged)
        expect([damaged, accepts(parse, damaged)]).toEqual([damaged, accepts(JSON.parse, plain)])
      }),
      { numRuns: 2000 },
    )
  })

  it('skips comments and a comma after the last entry', () => {
    const text = '// first\n{ /* a */ "a": [1, 2, /* , */ ], // "b": 1\n "c": "// no comment", }\n/* last */ // line'
    expect(toValue(parse(text))).toEqual({ a: [1, 2], c: '// no comment' })
  })

  it('records the position of every node', () => {
    const text = '{\n  "a": [1, {"b": "x"}]\n}'
    const { node, found } = nodeAt(parse(text), ['a', 1, 'b'])
    expect(found).toBe(true)
    expect(text.slice(node.start, node.end)).toBe('"x"')
    expect(positionOf(text, node.start)).toEqual({ line: 2, column: 18 })
  })

  it('finds the last existing node of a path with nodeAt', () => {
    const { node, found } = nodeAt(parse('{"a": {"b": 1}}'), ['a', 'missing', 'c'])
    expect([node.type, node.start, found]).toEqual(['object', 6, false])
  })

  it('finds duplicate keys at any depth and uses the last one', () => {
    const root = parse('{"a": 1, "b": [{"c": 1, "c": 2}], "a": 3}')
    expect(allKeys(root)).toMatchObject([
      { path: ['a'], start: 1, isDuplicate: false },
      { path: ['b'], start: 9, isDuplicate: false },
      { path: ['b', 0, 'c'], start: 16, isDuplicate: false },
      { path: ['b', 0, 'c'], start: 24, isDuplicate: true },
      { path: ['a'], start: 34, isDuplicate: true },
    ])
    expect(toValue(root)).toEqual({ a: 3, b: [{ c: 2 }] })
  })

  it('treats __proto__ like any other key', () => {
    const value = toValue(parse('{"__proto__": {"polluted": true}}'))
    expect(Object.entries(value ?? {})).toEqual([['__proto__', { polluted: true }]])
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  it.each([
    ['', 0, 'the file is empty'],
    ['{"a": 1,,}', 8, 'expected a key in double quotes; remove this comma'],
    ['[1,, 2]', 3, 'expected a value; remove this comma'],
    ['[,]', 1, 'expected a value; remove this comma'],
    ['{"a": 1 "b": 2}', 8, 'expected "," or "}"; add a comma after the preceding entry'],
    ['{"a" 1}', 5, 'expected ":" after the key "a"'],
    ["{'a': 1}", 1, 'expected a key in double quotes: "a"'],
    [`{"a": 'b'}`, 6, 'expected a value; JSON strings are in double quotes'],
    ['{a-b: 1}', 1, 'expected a key in double quotes: "a-b"'],
    ['processes:\n  web: 1', 0, 'expected {; the file is a JSON object'],
    ['{"a": yes}', 6, 'expected a value; a string is in double quotes'],
    ['{\n# why\n"a": 1}', 2, 'a comment begins with //'],
    ['{"a": 1 /* why }', 8, 'the comment that begins here is not closed; expected */'],
    ['{"a": 01}', 6, 'JSON numbers'],
    ['{"a": "b\n}', 6, 'no closing quote'],
    ['{"a": "C:\\dir"}', 9, 'write \\\\ for one backslash'],
    ['{"a": "\t"}', 7, 'control character'],
    ['{\n"a": [1, 2', 12, 'the file ends here, but the "[" in line 2 is not closed'],
    ['{"a": {"b": 1}', 14, 'the "{" in line 1 is not closed'],
    ['{"a": 1]', 7, 'expected "," or "}"'],
    ['{} {}', 3, 'expected the end of the file'],
    ['{"a":', 5, 'expected a value'],
    ['['.repeat(100_000), 201, 'nesting'],
  ])('names the error in %j', (text, offset, message) => {
    const error = syntaxError(text)
    expect(error.message).toContain(message)
    expect(error.offset).toBe(offset)
  })
})

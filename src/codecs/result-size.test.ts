import { expect, test } from 'vitest'
import { Decoder } from './decoder.ts'

const decoder = new Decoder()

/** Returns the size of the result of the same expression in both languages. */
function sizesOf(expression: string): readonly (number | undefined)[] {
  const script = `function decodeUplink() { return { data: ${expression} } }`
  return [
    { kind: 'cel', source: expression } as const,
    { kind: 'javascript', source: script } as const,
    { kind: 'javascript', source: `${script} // toJSON` } as const,
  ].map((codec) => {
    const evaluation = decoder.decode(codec, new Uint8Array())
    return evaluation.ok ? evaluation.size : undefined
  })
}

test.each(['{}', '{"a": 1, "b": {"c": "text"}}', '[{"a": 1.5}, {"a": [null, true]}]'])(
  'the size of %s is the same in CEL and in JavaScript',
  (expression) => {
    const [cel, ...javaScript] = sizesOf(expression)
    expect(javaScript).toEqual([cel, cel])
  },
)

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Codec, CodecKind } from '../domain/codecs/codec.ts'
import { bytesFunctions } from './cel/functions/bytes-functions.ts'
import { createPayloadConversionChecker } from './cel/static-check.ts'
import { Decoder } from './decoder.ts'

const page = readFileSync(new URL('../../docs/decoders.md', import.meta.url), 'utf8')
const kinds: ReadonlyMap<string, CodecKind> = new Map([
  ['cel', 'cel'],
  ['js', 'javascript'],
])

/** A row of a table: bytes, then the result, perhaps with a warning, or a part of the error. */
const ROW = /^\| `([0-9A-F ]+)` *\| (?:`([{[].*[}\]])`(?: with the warning `([^`]+)`)?|error `([^`]+)`) *\|$/gm

/** The sections with codecs and a table of payloads, each codec with all rows. */
const examples = page.split(/\n(?=##)/).flatMap((section) => {
  const title = section.split('\n')[0]?.replace(/^#+ /, '') ?? ''
  const rows = [...section.matchAll(ROW)].map(([, payload = '', data, warning, error]) => ({
    payload,
    expected:
      data === undefined ? { error } : { data: JSON.parse(data) as unknown, warnings: warning ? [warning] : [] },
  }))
  if (rows.length === 0) return []
  return [...section.matchAll(/^```(\w+)\n([^]*?)^```/gm)].flatMap(([, language = '', source = '']) => {
    const kind = kinds.get(language)
    return kind === undefined ? [] : [{ title: `${title} (${language})`, codec: { kind, source }, rows }]
  })
})

const decoder = new Decoder()

/** Runs the checks of an expression that is set as payload_conversion. */
function check({ kind, source }: Codec) {
  return kind === 'cel' ? createPayloadConversionChecker().check(source) : { ok: true }
}

describe('P-2: the examples of docs/decoders.md', () => {
  it('are those of these sections', () => {
    expect(examples.map(({ title, rows }) => [title, rows.length])).toEqual([
      ['From a data sheet to a row (cel)', 4],
      ['From a data sheet to a row (js)', 4],
      ['Readings of earlier times (cel)', 2],
      ['Readings of earlier times (js)', 2],
      ['Warnings (js)', 2],
      ['Fields with a type: ELSYS (cel)', 2],
      ['Fixed positions, signed numbers and flags: Dragino LHT65 (cel)', 2],
      ['Decimal digits (BCD): M-Bus (cel)', 2],
    ])
  })

  it.each(examples)('$title is accepted and returns the results of its table', ({ codec, rows }) => {
    expect(check(codec)).toEqual({ ok: true })
    const results = rows.map(({ payload, expected }) => {
      const bytes = Buffer.from(payload.replaceAll(' ', ''), 'hex')
      const result = decoder.decode(codec, Uint8Array.from(bytes), { receivedAt: 0n, uplink: { fPort: 2 } })
      if (result.ok) return { data: result.data, warnings: result.warnings ?? [] }
      return {
        error: expected.error !== undefined && result.reason.includes(expected.error) ? expected.error : result.reason,
      }
    })
    expect(results).toEqual(rows.map(({ expected }) => expected))
  })
})

it('docs/decoders.md names every function for bytes', () => {
  const names = new Set(bytesFunctions.map(({ name }) => name))
  expect([...names].filter((name) => !page.includes(`\`${name}(`))).toEqual([])
})

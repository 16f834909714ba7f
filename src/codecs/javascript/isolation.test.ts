import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Evaluation } from '../evaluation.ts'
import { JavaScriptEngine } from './engine.ts'

/** Codecs that leave something behind, break their surroundings or exceed limits. */
const CODECS = [
  'let n = 0; function decodeUplink({ bytes }) { n += bytes.length; return { data: { n } } }',
  'var all = []; function decodeUplink({ bytes }) { all.push(...bytes); return { data: { all, r: Math.random() } } }',
  `function decodeUplink({ bytes }) {
    const seen = Object.keys(Object.prototype); Object.prototype.polluted = 1; Array.prototype[0] = 7; JSON.stringify = null
    return { data: { seen, size: bytes.length, hole: [,][0] } } }`,
  'const cache = new Map(); function decodeUplink({ bytes }) { cache.set(cache.size, bytes); return { data: { n: cache.size } } }',
  'function decodeUplink({ bytes }) { if (bytes.length > 2) return decodeUplink({ bytes }); return { data: { ok: true } } }',
  'function decodeUplink({ bytes }) { return { data: { x: bytes.length > 2 ? "x".repeat(2 ** 25) : Buffer.from(bytes).toString("hex") } } }',
  'function decodeUplink({ bytes }) { return { data: { x: bytes.length > 2 ? NaN : new Proxy({ a: bytes }, {}) } } }',
  'globalThis.count = 0; function decodeUplink() { const kept = []; for (let i = 0; i < 2000; i++) kept.push({ i }); globalThis.kept = kept; return { data: { count: ++count } } }',
  'function decodeUplink(',
]

function alone(source: string, payload: Uint8Array): Evaluation {
  return new JavaScriptEngine().decode(source, payload)
}

test('each call of any sequence of codecs has the result that it has alone in a new engine', () => {
  const call = fc.record({ codec: fc.constantFrom(...CODECS), payload: fc.uint8Array({ maxLength: 4 }) })
  const engine = new JavaScriptEngine()
  fc.assert(
    fc.property(fc.array(call, { maxLength: 12 }), (calls) => {
      for (const { codec, payload } of calls) expect(engine.decode(codec, payload)).toEqual(alone(codec, payload))
    }),
    { numRuns: 30 },
  )
})

test('a codec cannot read memory that another codec wrote', () => {
  // The reader visits millions of bytes.
  const engine = new JavaScriptEngine({ timeLimitMs: 30_000 })
  const writer = `function decodeUplink() {
    const kept = []
    for (let i = 0; i < 50; i++) kept.push(new Uint8Array(200_000).fill(0xaa))
    return { data: { size: kept.length } }
  }`
  const buffers = [
    'new ArrayBuffer(1_000_000)',
    'Buffer.alloc(200_000).buffer',
    'new Float64Array(100_000).buffer',
    'resized(new ArrayBuffer(8, { maxByteLength: 1_000_000 }))',
    'new ArrayBuffer(8).transfer(1_000_000)',
    'new Uint8Array(200_000).slice().buffer',
  ]
  const reader = `function resized(buffer) { buffer.resize(buffer.maxByteLength); return buffer }
    function decodeUplink() {
      return { data: [${buffers.join()}].map((buffer) => new Uint8Array(buffer).findIndex((byte) => byte !== 0)) }
    }`
  expect(engine.decode(writer, new Uint8Array())).toMatchObject({ data: { size: 50 } })
  expect(engine.decode(reader, new Uint8Array())).toMatchObject({ data: buffers.map(() => -1) })
})

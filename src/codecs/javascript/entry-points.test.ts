import { expect, test } from 'vitest'
import { JavaScriptEngine } from './engine.ts'

const engine = new JavaScriptEngine()

test.for([
  ['a variable driver', 'var driver = { decodeUplink: ({ bytes }) => ({ data: { size: bytes.length } }) }'],
  [
    'a constant driver',
    'const driver = (() => ({ decodeUplink: ({ bytes }) => ({ data: { size: bytes.length } }) }))()',
  ],
  ['an exported driver', 'exports.driver = { decodeUplink: ({ bytes }) => ({ data: { size: bytes.length } }) }'],
  [
    'an exported driver of The Things Network 2',
    'module.exports = { driver: { Decoder: (bytes) => ({ size: bytes.length }) } }',
  ],
  [
    'a bundle with the library name driver',
    `(function (root, factory) {
      if (typeof define === 'function' && define.amd) define([], factory)
      else root['driver'] = factory()
    })(this, () => ({ decodeUplink: ({ bytes }) => ({ data: { size: bytes.length } }) }))`,
  ],
] as const)('finds decodeUplink of %s, as in ThingPark', ([, source]) => {
  expect(engine.decode(source, Uint8Array.of(1, 2))).toMatchObject({ ok: true, data: { size: 2 } })
})

test('prefers a declared function to that of a driver, and ignores a driver that is no object', () => {
  const declared = 'function decodeUplink() { return { data: { declared: true } } }'
  for (const driver of ['{ decodeUplink: () => ({ data: {} }) }', 'null', '"name"']) {
    expect(engine.decode(`${declared}\nvar driver = ${driver}`, Uint8Array.of())).toMatchObject({
      data: { declared: true },
    })
  }
})

test.for([
  [
    'module.exports',
    'module.exports = { scale: 10, decodeUplink({ bytes }) { return { data: { t: bytes[0] / this.scale } } } }',
  ],
  [
    'exports',
    'exports.scale = 10\nexports.decodeUplink = function ({ bytes }) { return { data: { t: bytes[0] / this.scale } } }',
  ],
  [
    'an instance of a class',
    `class Sensor { scale = 10
      decodeUplink({ bytes }) { return { data: { t: bytes[0] / this.scale } } }
    }
    module.exports = new Sensor()`,
  ],
  [
    'the global object',
    `var scale = 10
    function decodeUplink({ bytes }) { return { data: { t: bytes[0] / this.scale } } }`,
  ],
] as const)('calls decodeUplink as a method of %s', ([, source]) => {
  expect(engine.decode(source, Uint8Array.of(225))).toMatchObject({ ok: true, data: { t: 22.5 } })
})

test('calls normalizeUplink as a method of what exports it', () => {
  const source = `module.exports = { unit: 'c',
    decodeUplink: () => ({ data: { t: 1 } }),
    normalizeUplink({ data }) { return { data: { t: data.t, unit: this.unit } } },
  }`
  expect(engine.decode(source, Uint8Array.of())).toMatchObject({ data: { t: 1, unit: 'c' } })
})

test.for([
  [
    'a renamed function',
    'function f({ bytes }) { return { data: { size: bytes.length } } }\nexport { f as decodeUplink }',
  ],
  ['a minified bundle', 'function d(i){return{data:{size:i.bytes.length}}}export{d as decodeUplink};'],
  [
    'several names in several lines',
    `const d = ({ bytes }) => ({ data: { size: bytes.length } }), e = () => 1
    export {
      d as decodeUplink,
      e as encodeDownlink,
    }`,
  ],
  [
    'a function at the end of a line',
    'function decodeUplink({ bytes }) { return { data: { size: bytes.length } } } export { decodeUplink }',
  ],
  [
    'a default export with a name',
    'const o = { decodeUplink: ({ bytes }) => ({ data: { size: bytes.length } }) }\nexport { o as default }',
  ],
] as const)('accepts the export of %s', ([, source]) => {
  expect(engine.decode(source, Uint8Array.of(1, 2))).toMatchObject({ ok: true, data: { size: 2 } })
})

test('keeps the positions of errors after renamed exports', () => {
  const source =
    'function f() { return g() }\nexport { f as decodeUplink, f as other }; function g() { return missing }'
  expect(engine.decode(source, Uint8Array.of())).toMatchObject({
    reason: expect.stringMatching(/^line 2, column 65: /),
  })
})

test('tells the warnings of a codec that returns no data', () => {
  const source = 'function decodeUplink() { return { warnings: ["unknown port", "low battery"] } }'
  const reason = 'decodeUplink returned no data; expected an object or a list; warnings: unknown port; low battery'
  expect(engine.decode(source, Uint8Array.of())).toEqual({ ok: false, reason })
})

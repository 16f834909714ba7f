import { expect, test } from 'vitest'
import { JavaScriptEngine } from './engine.ts'

const engine = new JavaScriptEngine()
const context = { receivedAt: 1_700_000_000_123_456n, uplink: { fPort: 2 } }
const PAYLOAD = Uint8Array.of(1, 2, 3)

function decode(source: string) {
  return engine.decode(source, PAYLOAD, context)
}

/** Runs the body of a function decodeUplink. */
function run(body: string) {
  return decode(`function decodeUplink(input) { ${body} }`)
}

/** Returns the data of `{ data: expression }`. */
function dataOf(expression: string) {
  const evaluation = run(`return { data: ${expression} }`)
  return evaluation.ok ? evaluation.data : evaluation.reason
}

test('passes bytes, port, time of receipt and variables to decodeUplink', () => {
  const body =
    'return { data: { bytes: input.bytes, port: input.fPort, time: input.recvTime, variables: input.variables } }'
  expect(run(body)).toMatchObject({
    data: { bytes: [1, 2, 3], port: 2, time: '2023-11-14T22:13:20.123Z', variables: {} },
  })
})

test('passes port 0 when the envelope has none, and an empty payload', () => {
  const source = 'function decodeUplink({ bytes, fPort }) { return { data: { size: bytes.length, fPort } } }'
  expect(engine.decode(source, new Uint8Array())).toEqual({ ok: true, data: { size: 0, fPort: 0 }, size: 33 })
})

test('passes payloads that are larger than the shared buffer', () => {
  const payload = Uint8Array.from({ length: 5000 }, (_, index) => index % 251)
  const source = 'function decodeUplink({ bytes }) { return { data: { size: bytes.length, last: bytes[4999] } } }'
  expect(engine.decode(source, payload)).toMatchObject({ data: { size: 5000, last: 4999 % 251 } })
})

test.for([
  ['{ n: 1.5, i: -70000, t: true, z: null, s: "é€😀" }', { n: 1.5, i: -70_000, t: true, z: null, s: 'é€😀' }],
  ['{ small: 10n, large: 2n ** 70n }', { small: 10, large: '1180591620717411303424' }],
  ['{ missing: undefined, list: [undefined, , 1] }', { list: [null, null, 1] }],
  ['{ time: new Date(0) }', { time: '1970-01-01T00:00:00.000Z' }],
  ['{ bytes: new Uint8Array([1, 2]) }', { bytes: [1, 2] }],
  ['{ get a() { return 5 } }', { a: 5 }],
  ['new Proxy({ a: 1 }, {})', { a: 1 }],
  ['{ a: { toJSON: () => ({ b: 1 }) } }', { a: { b: 1 } }],
  ['{ a: new (class { toJSON() { return 1 } x = 2 })() }', { a: 1 }],
  ['{ a: new Number(5), b: new String("x") }', { a: 5, b: 'x' }],
  ['{ a: "\\ud800" }', { a: '\u{fffd}' }],
  ['[{ a: 1 }, { a: 2 }]', [{ a: 1 }, { a: 2 }]],
  ['{ 1: "a", length: 2 }', { 1: 'a', length: 2 }],
  ['((shared) => ({ a: shared, b: shared }))({ c: 1 })', { a: { c: 1 }, b: { c: 1 } }],
  ['JSON.parse(\'{"__proto__": {"a": 1}}\')', JSON.parse('{"__proto__": {"a": 1}}')],
] as const)('converts %s to JSON', ([expression, expected]) => {
  expect(dataOf(expression)).toEqual(expected)
})

test.for([
  ['{ temperature: NaN }', 'data.temperature is NaN, which JSON cannot represent'],
  ['{ list: [1, { y: -Infinity }] }', 'data.list[1].y is -Infinity, which JSON cannot represent'],
  ['{ f() {} }', 'data.f is a function, which JSON cannot represent'],
  ['{ s: Symbol("x") }', 'data.s is a symbol, which JSON cannot represent'],
  ['{ m: new Map() }', 'data.m is a Map, which JSON cannot represent'],
  ['{ t: new Date(NaN) }', 'data.t is an invalid date'],
  ['((o) => (o.self = o))({})', 'data.self is part of a cycle'],
  ['{ a: "x".repeat(1100000) }', 'the result is larger than 1048576 bytes'],
  ['{ a: { toJSON() { throw new Error("no") } } }', 'line 1, column 80: Error: no'],
  ['undefined', 'decodeUplink returned no data; expected an object or a list'],
  ['5', 'decodeUplink returned data that is a number; expected an object or a list'],
  [
    'Array(40).fill().reduce((inner) => ({ inner }), {})',
    `the result is nested deeper than 32 levels, at data${'.inner'.repeat(12)}.in…`,
  ],
] as const)('rejects the data %s', ([expression, reason]) => {
  expect(dataOf(expression)).toBe(reason)
})

test.for([
  ['return "x"', 'decodeUplink returned a string; expected an object with "data"'],
  ['return Promise.resolve({ data: {} })', 'decodeUplink returned a promise; a codec cannot be asynchronous'],
  ['return { data: {}, errors: ["bad port", "no battery"] }', 'bad port; no battery'],
  ['null.x', "line 1, column 36: TypeError: cannot read property 'x' of null"],
  ['throw "text"', 'text'],
  ['throw null', 'null'],
  ['throw ""', 'an exception without text'],
  ['throw new Error()', 'line 1, column 47: Error'],
  ['throw { toString() { throw 1 } }', 'an exception without text'],
  [
    'require("lib")',
    "line 1, column 32: ReferenceError: 'require' is not defined; a codec is one file and cannot load modules",
  ],
] as const)('fails for the body %s', ([body, reason]) => {
  expect(run(body)).toEqual({ ok: false, reason })
})

test('returns warnings with the data, and no empty ones', () => {
  expect(run('return { data: { a: 1 }, warnings: ["low battery"] }')).toEqual({
    ok: true,
    data: { a: 1 },
    warnings: ['low battery'],
    size: expect.any(Number),
  })
  expect(run('return { data: { a: 1 }, warnings: [], errors: [] }')).not.toHaveProperty('warnings')
})

test.for([
  ['export function decodeUplink() { return { data: { a: 1 } } }', 1],
  ['const decodeUplink = () => ({ data: { a: 2 } })', 2],
  ['module.exports = { decodeUplink: () => ({ data: { a: 3 } }) }', 3],
  ['exports.decodeUplink = () => ({ data: { a: 4 } })', 4],
  ['export default { decodeUplink() { return { data: { a: 5 } } } }', 5],
  ['const f = () => ({ data: { a: 6 } })\nfunction decodeUplink() { return f() }\nexport { decodeUplink }', 6],
  ['function Decoder(bytes, port) { return { a: bytes.length + port + 2 } }', 7],
  ['function Decode(port, bytes, variables) { return { a: bytes.length + port + 3 } }', 8],
] as const)('accepts the form %s', ([source, a]) => {
  expect(decode(source)).toMatchObject({ ok: true, data: { a } })
})

test('replaces the data by that of normalizeUplink, a list by readings, unless told otherwise', () => {
  const source = `function decodeUplink() { return { data: { t: 1 } } }
    function normalizeUplink({ data }) { return { data: [{ time: 'now', air: data.t }, { air: 2 }] } }`
  const readings = [{ time: 'now', data: { air: 1 } }, { data: { air: 2 } }]
  expect(decode(source)).toMatchObject({ data: readings })
  expect(engine.decode(source, PAYLOAD, { ...context, normalize: false })).toMatchObject({ data: { t: 1 } })
})

test.for([
  ['function decodeUplink(', 'line 1, column 23: SyntaxError: missing formal parameter'],
  ['\n\nlet x = ;', "line 3, column 9: SyntaxError: unexpected token in expression: ';'"],
  ['import x from "y"', 'line 1: import: a codec is one file and cannot load modules'],
  ['throw new Error("top")', 'line 1, column 16: Error: top'],
  ['var x = 1', 'the codec has no function decodeUplink(input)'],
  [`//${'x'.repeat(65_536)}`, 'the codec has 65538 bytes, at most 65536 are allowed'],
] as const)('check rejects %.30s', ([source, reason]) => {
  expect(engine.check(source)).toEqual({ ok: false, reason })
})

test('check accepts a codec without calling its function', () => {
  expect(engine.check('function decodeUplink() { throw new Error("called") }')).toEqual({ ok: true })
})

test.for([
  ['while (true);', 'the codec ran longer than 250 ms'],
  ['return { data: { a: /(a+)+$/.test("a".repeat(40) + "b") } }', 'the codec ran longer than 250 ms'],
  ['try { for (;;); } catch {} finally { for (;;); }', 'the codec ran longer than 250 ms'],
  ['return { data: { get a() { for (;;); } } }', 'the codec ran longer than 250 ms'],
  ['throw { get message() { for (;;); } }', 'the codec ran longer than 250 ms'],
  ['return "x".repeat(2 ** 25)', 'the codec used more than 16 MB of memory'],
  ['return new ArrayBuffer(2 ** 25)', 'the codec used more than 16 MB of memory'],
  ['return decodeUplink(input)', 'the codec exceeded the stack: it calls functions too deeply, perhaps without end'],
  [
    'return JSON.parse("[".repeat(100000))',
    'the codec exceeded the stack: it calls functions too deeply, perhaps without end',
  ],
] as const)('ends %s with the limit, and the next call works', ([body, reason]) => {
  expect(run(body)).toEqual({ ok: false, reason, exceeded: expect.stringMatching(/^(?:time|memory|stack)$/) })
  expect(dataOf('{ a: 1 }')).toEqual({ a: 1 })
})

test.for([
  [
    'const data = {}; for (let i = 0; i < 1e6; i++) data["key" + i] = i; return { data }',
    'the codec used more than 16 MB of memory',
  ],
  ['return { data: Array(1000).fill(Array(1000).fill(1)) }', 'the result is larger than 1048576 bytes'],
] as const)('rejects the million values of %s, however long it may run', ([body, reason]) => {
  const patient = new JavaScriptEngine({ timeLimitMs: 600_000 })
  expect(patient.decode(`function decodeUplink() { ${body} }`, PAYLOAD)).toMatchObject({ ok: false, reason })
})

test('keeps nothing between calls and codecs', () => {
  const counting = `let calls = 0; const cache = {}
    function decodeUplink() {
      calls++; cache[calls] = 1; globalThis.leak = (globalThis.leak ?? 0) + 1
      Object.prototype.polluted = 1; Array.prototype.push = null; JSON.stringify = () => 'x'; Object.keys = () => []
      return { data: { calls, size: Object.getOwnPropertyNames(cache).length, leak: globalThis.leak, random: Math.random() } }
    }`
  const first = decode(counting)
  expect(first).toMatchObject({ data: { calls: 1, size: 1, leak: 1 } })
  expect(decode(counting)).toEqual(first)
  expect(
    dataOf('{ polluted: {}.polluted, leak: globalThis.leak, keys: Object.keys({ a: 1 }), push: [].push(1) }'),
  ).toEqual({ keys: ['a'], push: 1 })
})

test('calls the toJSON of an object, and an inherited one if the source contains its name', () => {
  expect(dataOf('{ a: { ["to" + "JSON"]: () => 1 } }')).toEqual({ a: 1 })
  expect(dataOf('{ a: Object.create({ toJSON: () => 1 }) }')).toEqual({ a: 1 })
  expect(dataOf('{ a: Object.create({ ["to" + "JSON"]: () => 1 }) }')).toEqual({ a: {} })
})

test('cannot be fooled by a codec that replaces built-in functions', () => {
  const replaced = `Array.prototype.push = Object.keys = JSON.stringify = Array.isArray = () => { throw new Error('replaced') }
    Object.prototype.toJSON = undefined; Date.prototype.getTime = Function.prototype.call = Function.prototype.apply = null
    function decodeUplink() { return { data: { list: new Proxy([1], {}), time: new Date(0), big: 2n } } }`
  expect(engine.decode(replaced, new Uint8Array())).toMatchObject({
    data: { list: [1], time: '1970-01-01T00:00:00.000Z', big: 2 },
  })
})

test.for(['Array.prototype', 'Object.prototype'])(
  'passes and returns lists if a setter of %s takes elements',
  (owner) => {
    const source = `Object.defineProperty(${owner}, 0, { get: () => 9, set() {}, configurable: true })
    function decodeUplink({ bytes }) { return { data: { bytes }, warnings: ['w'] } }
    function normalizeUplink({ data }) { return { data: [data, { big: 2n }] } }`
    expect(decode(source)).toMatchObject({
      data: [{ data: { bytes: [1, 2, 3] } }, { data: { big: 2 } }],
      warnings: ['w'],
    })
  },
)

test('has no access to the host', () => {
  const names = [
    'process',
    'require',
    'WebAssembly',
    'Atomics',
    'SharedArrayBuffer',
    'setTimeout',
    'fetch',
    'Worker',
    'gc',
  ]
  expect(dataOf(`[${names.map((name) => `typeof ${name}`).join()}]`)).toEqual(names.map(() => 'undefined'))
  const own = 'globalThis.constructor.constructor("return this")() === globalThis'
  expect(dataOf(`{ own: ${own}, args: input.constructor.constructor("return typeof process")() }`)).toEqual({
    own: true,
    args: 'undefined',
  })
})

test('has a clock that stands at the time of receipt, in UTC', () => {
  const clock =
    '{ now: Date.now(), date: new Date(), hours: new Date().getHours(), zone: new Date().getTimezoneOffset() }'
  const expected = { now: 1_700_000_000_123, date: '2023-11-14T22:13:20.123Z', hours: 22, zone: 0 }
  expect(dataOf(clock)).toEqual(expected)
})

test('has a console that does nothing', () => {
  expect(dataOf('{ log: console.log(1) ?? "nothing" }')).toEqual({ log: 'nothing' })
})

test.for([
  ['Buffer.from(input.bytes).toString("hex")', '010203'],
  ['Buffer.from("hé€😀").toString("base64")', Buffer.from('hé€😀').toString('base64')],
  ['Buffer.from("aMOp4oKs8J+YgA==", "base64").toString()', 'hé€😀'],
  ['Buffer.from([0x61, 0xe2, 0x82, 0xff, 0x62]).toString()', Buffer.from([0x61, 0xe2, 0x82, 0xff, 0x62]).toString()],
  ['Buffer.from("fffe", "hex").readInt16BE(0)', -2],
  ['Buffer.from("fffe80", "hex").readInt24LE(0)', -8_323_329],
  ['Buffer.from("fffffffe", "hex").readUInt32LE(0)', 0xfe_ff_ff_ff],
  ['Buffer.from("41a40000", "hex").readFloatBE(0)', 20.5],
  ['Buffer.from("0000000000403540", "hex").readDoubleLE(0)', 21.25],
  ['Buffer.from("0102030405", "hex").readUIntBE(0, 5)', 0x01_02_03_04_05],
  ['Buffer.from("0102030405", "hex").readIntLE(1, 3)', 0x04_03_02],
  ['Buffer.concat([Buffer.alloc(1), Buffer.from([7, 8]).slice(1)]).length', 2],
  ['Buffer.from([7, 8]).subarray(1)[0]', 8],
  ['Buffer.from("0z", "hex").length', 0],
  ['new Buffer("0102ff", "hex").readUInt8(2)', 255],
  ['new Buffer([1, 2]).length', 2],
  ['Buffer("AQI=", "base64").length', 2],
  ['Buffer([1, 2]) instanceof Buffer && Buffer.isBuffer(Buffer(2))', true],
  ['Buffer.from("0102030405060708", "hex").swap16().toString("hex")', '0201040306050807'],
  ['Buffer.from("0102030405060708", "hex").swap32().toString("hex")', '0403020108070605'],
  ['Buffer.from([1, 2]).compare(Buffer.from([1, 3]))', -1],
  ['[0, 0].map((_, i) => { const b = Buffer.alloc(4); b.writeFloatLE(20.5); return b[i + 2] }).join()', '164,65'],
  [
    '(() => { const b = Buffer.alloc(9); return b.writeDoubleBE(21.25, 1) + b.toString("hex") })()',
    '9004035400000000000',
  ],
  ['(() => { const b = Buffer.alloc(4); b.writeUIntBE(0x010203, 1, 3); return b.toString("hex") })()', '00010203'],
  ['(() => { const b = Buffer.alloc(3); b.writeIntLE(-2, 0, 3); return b.toString("hex") })()', 'feffff'],
  ['(() => { const b = Buffer.alloc(4); return b.write("0a0b0c", 1, "hex") + b.toString("hex") })()', '3000a0b0c'],
] as const)('Buffer: %s', ([expression, expected]) => {
  expect(dataOf(`{ value: ${expression} }`)).toEqual({ value: expected })
})

test('Buffer rejects an offset beyond the end', () => {
  expect(dataOf('{ value: Buffer.from(input.bytes).readUInt16BE(2) }')).toContain('Attempt to read 2 bytes at offset 2')
})

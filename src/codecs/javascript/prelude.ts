import { RESULT_PRELUDE } from './result-prelude.ts'
import { CELL, PAYLOAD_OFFSET, REPLY } from './sandbox-protocol.ts'

/** Evaluated after the codec, in its scope: the functions that a codec can declare, and the object that has them in ThingPark. */
export const DECLARED = `[${['decodeUplink', 'Decode', 'Decoder', 'normalizeUplink']
  .map((name) => `typeof ${name} === 'function' ? ${name} : undefined`)
  .join(', ')}, typeof driver === 'object' ? driver : undefined]`

/**
 * A program that runs in the sandbox before the codec. Its value is a function that takes the shared buffer and returns the functions
 * that the host calls. It keeps references to the built-in functions that it uses, because the codec can replace them.
 *
 * - `link(declared)` finds the codec's function; returns the empty text or a reason.
 * - `run(payload)` calls it, and returns the data or a text with a failure.
 * - `convert()` returns the data of the last run as JSON: the slow way, which calls getters, proxies and toJSON.
 * - `warnings()` returns the warnings of the last run as JSON.
 * - `describe(error)` returns the text of an exception and its stack.
 */
export const PRELUDE = String.raw`(function (shared) {
  'use strict'
  const { apply } = Reflect
  const { keys, setPrototypeOf } = Object
  const { isArray, prototype: listPrototype } = Array
  const { stringify } = JSON
  const { slice, toWellFormed } = String.prototype
  const { getTime, toISOString, toJSON: dateToJson } = Date.prototype
  const { isView } = ArrayBuffer
  const globals = globalThis
  const Text = String, Float = Number, Time = Date, Bytes = Uint8Array
  const MapClass = Map, SetClass = Set, PromiseClass = Promise, Boxes = [Number, String, Boolean]
  const head = new Float64Array(shared, 0, ${PAYLOAD_OFFSET / 8})
  const body = new Bytes(shared, ${PAYLOAD_OFFSET})

  const nothing = function () {}
  const define = function (name, value) {
    Object.defineProperty(globals, name, { value, writable: true, configurable: true, enumerable: false })
  }
  define('console', { log: nothing, info: nothing, warn: nothing, error: nothing, debug: nothing, trace: nothing })
  const moduleObject = { exports: {} }
  define('module', moduleObject)
  define('exports', moduleObject.exports)
  for (const name of ['Atomics', 'SharedArrayBuffer', 'queueMicrotask', 'performance', 'navigator']) delete globals[name]

  const FAILED = {}
  let reason = ''
  function fail(text) {
    reason = text
    throw FAILED
  }

  const ARTICLES = { undefined: 'undefined', boolean: 'a boolean', number: 'a number', string: 'a string', bigint: 'a BigInt',
    symbol: 'a symbol', function: 'a function', __proto__: null }
  function kindOf(value) {
    if (value === null) return 'null'
    if (isArray(value)) return 'a list'
    return ARTICLES[typeof value] || 'an object'
  }

  /** Creates a list whose elements no setter of a prototype takes. */
  function list() {
    return setPrototypeOf([], null)
  }

  function textOf(value) {
    if (typeof value === 'object' && value !== null && typeof value.message === 'string') return value.message
    return Text(value)
  }

  /** Appends the texts of "errors" or "warnings", which is a list, or one text. */
  function addTexts(texts, value) {
    if (value === undefined || value === null || value === '' || value === false) return
    if (!isArray(value)) {
      texts[texts.length] = textOf(value)
      return
    }
    for (let i = 0, n = value.length; i < n; i++) texts[texts.length] = textOf(value[i])
  }

  function joined(texts) {
    let text = texts[0]
    for (let i = 1; i < texts.length; i++) text += '; ' + texts[i]
    return text
  }

  let decode, decodeName, isLegacy, normalize
  let data, warnings

  function link(declared) {
    const owners = list()
    const exported = [moduleObject.exports, globals.exports, globals.module && globals.module.exports, declared[4]]
    for (let i = 0; i < exported.length; i++) {
      const owner = exported[i]
      if (owner === undefined || owner === null) continue
      owners[owners.length] = owner
      if (owner.default) owners[owners.length] = owner.default
      if (owner.driver) owners[owners.length] = owner.driver
    }
    const find = function (name, index) {
      if (declared[index] !== undefined) return declared[index]
      for (let i = 0; i < owners.length; i++) {
        const method = owners[i][name]
        if (typeof method === 'function') return function () { return apply(method, owners[i], arguments) }
      }
    }
    normalize = find('normalizeUplink', 3)
    const names = ['decodeUplink', 'Decode', 'Decoder']
    for (let i = 0; i < names.length; i++) {
      decode = find(names[i], i)
      decodeName = names[i]
      isLegacy = i > 0
      if (decode !== undefined) return ''
    }
    return 'the codec has no function decodeUplink(input)'
  }

  function unwrap(output, name) {
    if (output instanceof PromiseClass) fail(name + ' returned a promise; a codec cannot be asynchronous')
    if (typeof output !== 'object' || output === null)
      fail(name + ' returned ' + kindOf(output) + '; expected an object with "data"')
    const errors = list()
    addTexts(errors, output.errors)
    if (errors.length > 0) {
      const text = joined(errors)
      fail(text === '' ? name + ' returned an error without text' : text)
    }
    addTexts(warnings, output.warnings)
    return output.data
  }

  function requireData(value, name) {
    if (typeof value === 'object' && value !== null) return value
    fail(name + (value === undefined ? ' returned no data' : ' returned data that is ' + kindOf(value)) +
      '; expected an object or a list' + (warnings.length > 0 ? '; warnings: ' + joined(warnings) : ''))
  }

  function callCodec(bytes) {
    const fPort = head[${CELL.fPort}]
    if (!isLegacy) {
      const input = { bytes, fPort, recvTime: new Time(head[${CELL.receivedAtMs}]), variables: {} }
      return requireData(unwrap(decode(input), decodeName), decodeName)
    }
    const output = decodeName === 'Decode' ? decode(fPort, bytes, {}) : decode(bytes, fPort)
    if (output instanceof PromiseClass) fail(decodeName + ' returned a promise; a codec cannot be asynchronous')
    return requireData(output, decodeName)
  }

  /** Converts a list of normalized measurements to readings. */
  function readingsOf(measurements) {
    const readings = list()
    for (let i = 0; i < measurements.length; i++) {
      const { time, ...data } = requireData(measurements[i], 'normalizeUplink')
      readings[i] = time === undefined ? { data } : { time, data }
    }
    return readings
  }

  function run(payload) {
    const from = payload === undefined ? body : new Bytes(payload)
    const bytes = list()
    for (let i = 0, n = head[${CELL.payloadLength}]; i < n; i++) bytes[i] = from[i]
    setPrototypeOf(bytes, listPrototype)
    warnings = list()
    try {
      data = callCodec(bytes)
      if (normalize !== undefined && head[${CELL.normalize}] === 1 && !isLegacy) {
        const normalized = unwrap(normalize({ data }), 'normalizeUplink')
        if (normalized !== undefined && normalized !== null)
          data = isArray(normalized) ? readingsOf(normalized) : requireData(normalized, 'normalizeUplink')
      }
      head[${CELL.hasWarnings}] = warnings.length > 0 ? 1 : 0
      return data
    } catch (error) {
      return describe(error)
    }
  }

  function describe(error) {
    if (error === FAILED) return '${REPLY.failure}' + reason
    let text = 'an exception without text'
    let stack = ''
    try {
      if (typeof error === 'object' && error !== null) {
        stack = Text(error.stack)
        const { name, message } = error
        if (typeof message !== 'string') text = Text(error)
        else text = name && message ? name + ': ' + message : Text(message || name || text)
      } else text = Text(error) || text
    } catch (ignored) {}
    return '${REPLY.exception}' + text + '\u0001' + stack
  }

  ${RESULT_PRELUDE}
  return { link, run, convert, warnings: warningsAsJson, describe }
})`

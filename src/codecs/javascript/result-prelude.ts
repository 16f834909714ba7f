import { RESULT_LIMITS } from '../evaluation.ts'
import { CELL, REPLY, VALUE_BYTES } from './sandbox-protocol.ts'

/** The part of the prelude that converts results to JSON: its functions `convert` and `warningsAsJson`. */
export const RESULT_PRELUDE = String.raw`
  let left = 0
  const open = list()
  function spend(size) {
    left -= size
    if (left < 0) fail('the result is larger than ${RESULT_LIMITS.bytes} bytes')
  }

  function shorten(path) {
    return path.length <= 80 ? path : apply(slice, path, [0, 79]) + '\u2026'
  }

  function convertString(text) {
    spend(text.length + 2)
    return apply(toWellFormed, text, [])
  }

  function convertObject(value, path, depth, key) {
    if (value instanceof Time || typeof value.toJSON === 'function') {
      const { toJSON } = value
      if (toJSON !== dateToJson) return convertValue(apply(toJSON, value, [key]), path, depth, undefined, true)
      const time = apply(getTime, value, [])
      if (time !== time) fail(shorten(path) + ' is an invalid date')
      return convertString(apply(toISOString, value, []))
    }
    for (let i = 0; i < 3; i++)
      if (value instanceof Boxes[i]) return convertValue(value.valueOf(), path, depth, undefined, true)
    if (value instanceof MapClass) fail(shorten(path) + ' is a Map, which JSON cannot represent')
    if (value instanceof SetClass) fail(shorten(path) + ' is a Set, which JSON cannot represent')
    if (value instanceof PromiseClass) fail(shorten(path) + ' is a promise, which JSON cannot represent')
    return convertTree(value, path, depth)
  }

  function convertTree(value, path, depth) {
    for (let i = 0; i < depth; i++) if (open[i] === value) fail(shorten(path) + ' is part of a cycle')
    if (depth >= ${RESULT_LIMITS.depth})
      fail('the result is nested deeper than ${RESULT_LIMITS.depth} levels, at ' + shorten(path))
    open[depth] = value
    return isArray(value) || isView(value) ? convertList(value, path, depth) : convertMap(value, path, depth)
  }

  function convertList(value, path, depth) {
    const converted = list()
    for (let i = 0, n = value.length; i < n; i++) {
      const element = convertValue(value[i], path + '[' + i + ']', depth + 1, Text(i), false)
      converted[i] = element === undefined ? (spend(4), null) : element
    }
    return converted
  }

  function convertMap(value, path, depth) {
    const converted = { __proto__: null }
    const names = keys(value)
    for (let i = 0, n = names.length; i < n; i++) {
      const name = names[i]
      spend(name.length + 4)
      const property = convertValue(value[name], path + '.' + name, depth + 1, name, false)
      if (property !== undefined) converted[name] = property
    }
    return converted
  }

  function convertValue(value, path, depth, key, isReplaced) {
    switch (typeof value) {
      case 'string':
        return convertString(value)
      case 'number':
        spend(8)
        if (value - value !== 0) fail(shorten(path) + ' is ' + value + ', which JSON cannot represent')
        return value
      case 'boolean':
        spend(8)
        return value
      case 'undefined':
        return undefined
      case 'bigint':
        spend(8)
        if (value <= 9007199254740992n && value >= -9007199254740992n) return Float(value)
        return convertString(Text(value))
      case 'object':
        if (value === null) return (spend(8), null)
        spend(8)
        return isReplaced ? convertTree(value, path, depth) : convertObject(value, path, depth, key)
    }
    fail(shorten(path) + ' is ' + kindOf(value) + ', which JSON cannot represent')
  }

  function convert() {
    left = ${RESULT_LIMITS.bytes + VALUE_BYTES}
    try {
      const converted = convertValue(data, 'data', 0, '', false)
      if (typeof converted !== 'object' || converted === null)
        fail('the data is ' + kindOf(converted) + '; expected an object or a list')
      head[${CELL.size}] = ${RESULT_LIMITS.bytes} - left
      return '${REPLY.json}' + stringify(converted)
    } catch (error) {
      return describe(error)
    }
  }

  function warningsAsJson() {
    left = ${RESULT_LIMITS.bytes}
    try {
      const json = stringify(convertList(warnings, 'warnings', 0))
      head[${CELL.size}] = ${RESULT_LIMITS.bytes} - left
      return '${REPLY.json}' + json
    } catch (error) {
      return describe(error)
    }
  }
`

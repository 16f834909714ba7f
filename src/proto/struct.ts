import { isJsonList, type JsonObject, type JsonValue } from '../domain/entities.ts'
import { MappingError } from '../domain/errors.ts'
import { type MessageReader, tagOf, WIRE } from './message-reader.ts'
import type { MessageWriter } from './message-writer.ts'

/**
 * Converts google.protobuf.Struct directly between bytes and JSON. protobuf-es creates a Value message per value, which is four
 * times slower on the path of every envelope, and loses a key named `__proto__`.
 */

/** Maximum nesting in either direction, to protect the stack. */
const MAX_DEPTH = 100

const STRUCT_FIELDS = 1
const ENTRY_KEY = 1
const ENTRY_VALUE = 2
const VALUE_NULL = 1
const VALUE_NUMBER = 2
const VALUE_STRING = 3
const VALUE_BOOL = 4
const VALUE_STRUCT = 5
const VALUE_LIST = 6
const LIST_VALUES = 1

/** Writes the fields of a Struct into the open message. Throws a MappingError for NaN, infinity and excessive nesting. */
export function writeStruct(writer: MessageWriter, object: JsonObject, depth = 0): void {
  if (depth > MAX_DEPTH) throw new MappingError(`JSON is nested deeper than ${MAX_DEPTH} levels`)
  for (const [key, value] of Object.entries(object)) {
    const entry = writer.open(STRUCT_FIELDS)
    writer.string(ENTRY_KEY, key)
    writeValue(writer, ENTRY_VALUE, value, depth)
    writer.close(entry)
  }
}

function writeValue(writer: MessageWriter, field: number, value: JsonValue, depth: number): void {
  const start = writer.open(field)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new MappingError(`${value} is not a JSON number`)
    writer.double(VALUE_NUMBER, value)
  } else if (typeof value === 'string') {
    writer.text(VALUE_STRING, value)
  } else if (typeof value === 'boolean') {
    writer.choice(VALUE_BOOL, value ? 1 : 0)
  } else {
    writeNested(writer, value, depth + 1)
  }
  writer.close(start)
}

function writeNested(writer: MessageWriter, value: null | readonly JsonValue[] | JsonObject, depth: number): void {
  if (value === null) {
    writer.choice(VALUE_NULL, 0)
    return
  }
  const isList = isJsonList(value)
  const start = writer.open(isList ? VALUE_LIST : VALUE_STRUCT)
  if (isList) writeList(writer, value, depth)
  else writeStruct(writer, value, depth)
  writer.close(start)
}

function writeList(writer: MessageWriter, list: readonly JsonValue[], depth: number): void {
  if (depth > MAX_DEPTH) throw new MappingError(`JSON is nested deeper than ${MAX_DEPTH} levels`)
  for (const value of list) writeValue(writer, LIST_VALUES, value, depth)
}

const STRUCT_ENTRY = tagOf(STRUCT_FIELDS, WIRE.bytes)
const KEY = tagOf(ENTRY_KEY, WIRE.bytes)
const VALUE = tagOf(ENTRY_VALUE, WIRE.bytes)
const NULL = tagOf(VALUE_NULL, WIRE.varint)
const NUMBER = tagOf(VALUE_NUMBER, WIRE.bit64)
const STRING = tagOf(VALUE_STRING, WIRE.bytes)
const BOOL = tagOf(VALUE_BOOL, WIRE.varint)
const STRUCT = tagOf(VALUE_STRUCT, WIRE.bytes)
const LIST = tagOf(VALUE_LIST, WIRE.bytes)
const LIST_VALUE = tagOf(LIST_VALUES, WIRE.bytes)

/** Reads the Struct after its tag. Throws a MappingError for excessive nesting. */
export function readStruct(reader: MessageReader, depth = 0): JsonObject {
  if (depth > MAX_DEPTH) throw new MappingError(`a Struct is nested deeper than ${MAX_DEPTH} levels`)
  const object: Record<string, JsonValue> = {}
  const outerEnd = reader.open()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === STRUCT_ENTRY) readEntry(reader, object, depth)
    else reader.skip(tag)
  }
  reader.close(outerEnd)
  return object
}

function readEntry(reader: MessageReader, object: Record<string, JsonValue>, depth: number): void {
  let key = ''
  let value: JsonValue = null
  const outerEnd = reader.open()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === KEY) key = reader.string()
    else if (tag === VALUE) value = readValue(reader, depth)
    else reader.skip(tag)
  }
  reader.close(outerEnd)
  // An assignment to `__proto__` would set the prototype.
  if (key !== '__proto__') object[key] = value
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}

function readValue(reader: MessageReader, depth: number): JsonValue {
  let value: JsonValue = null
  const outerEnd = reader.open()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === NUMBER) value = reader.double()
    else if (tag === STRING) value = reader.string()
    else if (tag === BOOL) value = reader.varint() !== 0
    else if (tag === STRUCT) value = readStruct(reader, depth + 1)
    else if (tag === LIST) value = readList(reader, depth + 1)
    else {
      reader.skip(tag)
      if (tag === NULL) value = null
    }
  }
  reader.close(outerEnd)
  return value
}

function readList(reader: MessageReader, depth: number): readonly JsonValue[] {
  if (depth > MAX_DEPTH) throw new MappingError(`a Struct is nested deeper than ${MAX_DEPTH} levels`)
  const list: JsonValue[] = []
  const outerEnd = reader.open()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === LIST_VALUE) list.push(readValue(reader, depth))
    else reader.skip(tag)
  }
  reader.close(outerEnd)
  return list
}

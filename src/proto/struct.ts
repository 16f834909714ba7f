import type { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import type { JsonObject, JsonValue } from '../domain/gateway.ts'
import { MappingError } from './errors.ts'
import type { MessageWriter } from './message-writer.ts'

/**
 * google.protobuf.Struct straight between the wire and JSON. protobuf-es goes through a Value message per value, which costs
 * four times as much on a path that every envelope takes, and loses a key named `__proto__`.
 */

/** Levels of nesting that are accepted in either direction; more would risk the stack. */
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

/** Writes the fields of a Struct; the caller has opened the message. Throws a MappingError for NaN, infinity, too deep. */
export function writeStruct(writer: MessageWriter, object: JsonObject, depth = 0): void {
  if (depth > MAX_DEPTH) throw new MappingError(`JSON is nested deeper than ${MAX_DEPTH} levels`)
  for (const [key, value] of Object.entries(object)) {
    const entry = writer.open(STRUCT_FIELDS)
    writer.string(ENTRY_KEY, key)
    writeValue(writer, ENTRY_VALUE, value, depth)
    writer.close(entry)
  }
}

/** A Value as a field of the message that is open. */
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
  const start = writer.open(isList(value) ? VALUE_LIST : VALUE_STRUCT)
  if (isList(value)) writeList(writer, value, depth)
  else writeStruct(writer, value, depth)
  writer.close(start)
}

function writeList(writer: MessageWriter, list: readonly JsonValue[], depth: number): void {
  if (depth > MAX_DEPTH) throw new MappingError(`JSON is nested deeper than ${MAX_DEPTH} levels`)
  for (const value of list) writeValue(writer, LIST_VALUES, value, depth)
}

/** Array.isArray does not narrow a readonly array. */
function isList(value: readonly JsonValue[] | JsonObject): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** Reads the `length` bytes of a Struct that start at the reader's position. Throws a MappingError when it is too deep. */
export function readStruct(reader: BinaryReader, length: number, depth = 0): JsonObject {
  if (depth > MAX_DEPTH) throw new MappingError(`a Struct is nested deeper than ${MAX_DEPTH} levels`)
  const object: Record<string, JsonValue> = {}
  forEachField(reader, length, (field, wireType) => {
    if (field !== STRUCT_FIELDS) {
      reader.skip(wireType, field)
      return
    }
    const [key, value] = readEntry(reader, reader.uint32(), depth)
    if (key === '__proto__') {
      // An assignment would set the prototype instead of a property.
      Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
    } else {
      object[key] = value
    }
  })
  return object
}

function readEntry(reader: BinaryReader, length: number, depth: number): readonly [string, JsonValue] {
  let key = ''
  let value: JsonValue = null
  forEachField(reader, length, (field, wireType) => {
    if (field === ENTRY_KEY) key = reader.string()
    else if (field === ENTRY_VALUE) value = readValue(reader, reader.uint32(), depth)
    else reader.skip(wireType, field)
  })
  return [key, value]
}

function readValue(reader: BinaryReader, length: number, depth: number): JsonValue {
  let value: JsonValue = null
  forEachField(reader, length, (field, wireType) => {
    if (field === VALUE_NULL) {
      reader.int32()
      value = null
    } else if (field === VALUE_NUMBER) value = reader.double()
    else if (field === VALUE_STRING) value = reader.string()
    else if (field === VALUE_BOOL) value = reader.bool()
    else if (field === VALUE_STRUCT) value = readStruct(reader, reader.uint32(), depth + 1)
    else if (field === VALUE_LIST) value = readList(reader, reader.uint32(), depth + 1)
    else reader.skip(wireType, field)
  })
  return value
}

function readList(reader: BinaryReader, length: number, depth: number): readonly JsonValue[] {
  if (depth > MAX_DEPTH) throw new MappingError(`a Struct is nested deeper than ${MAX_DEPTH} levels`)
  const list: JsonValue[] = []
  forEachField(reader, length, (field, wireType) => {
    if (field === LIST_VALUES) list.push(readValue(reader, reader.uint32(), depth))
    else reader.skip(wireType, field)
  })
  return list
}

/** Calls `read` for each field of the message that takes the next `length` bytes. */
export function forEachField(
  reader: BinaryReader,
  length: number,
  read: (field: number, wireType: WireType) => void,
): void {
  const end = reader.pos + length
  if (end > reader.len) throw new MappingError('a message ends before its end')
  while (reader.pos < end) {
    const [field, wireType] = reader.tag()
    read(field, wireType)
  }
  if (reader.pos !== end) throw new MappingError('a field is longer than its message')
}

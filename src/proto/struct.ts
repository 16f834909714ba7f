import { WireType, type BinaryReader, type BinaryWriter } from '@bufbuild/protobuf/wire'
import type { JsonObject, JsonValue } from '../domain/gateway.ts'
import { MappingError } from './errors.ts'

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
export function writeStruct(writer: BinaryWriter, object: JsonObject, depth = 0): void {
  if (depth > MAX_DEPTH) throw new MappingError(`JSON is nested deeper than ${MAX_DEPTH} levels`)
  for (const [key, value] of Object.entries(object)) {
    writer.tag(STRUCT_FIELDS, WireType.LengthDelimited).fork()
    writer.tag(ENTRY_KEY, WireType.LengthDelimited).string(key)
    writer.tag(ENTRY_VALUE, WireType.LengthDelimited).fork()
    writeValue(writer, value, depth)
    writer.join().join()
  }
}

function writeValue(writer: BinaryWriter, value: JsonValue, depth: number): void {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new MappingError(`${value} is not a JSON number`)
    writer.tag(VALUE_NUMBER, WireType.Bit64).double(value)
  } else if (typeof value === 'string') {
    writer.tag(VALUE_STRING, WireType.LengthDelimited).string(value)
  } else if (typeof value === 'boolean') {
    writer.tag(VALUE_BOOL, WireType.Varint).bool(value)
  } else {
    writeNested(writer, value, depth + 1)
  }
}

function writeNested(writer: BinaryWriter, value: null | readonly JsonValue[] | JsonObject, depth: number): void {
  if (value === null) {
    writer.tag(VALUE_NULL, WireType.Varint).int32(0)
  } else if (isList(value)) {
    writer.tag(VALUE_LIST, WireType.LengthDelimited).fork()
    writeList(writer, value, depth)
    writer.join()
  } else {
    writer.tag(VALUE_STRUCT, WireType.LengthDelimited).fork()
    writeStruct(writer, value, depth)
    writer.join()
  }
}

function writeList(writer: BinaryWriter, list: readonly JsonValue[], depth: number): void {
  if (depth > MAX_DEPTH) throw new MappingError(`JSON is nested deeper than ${MAX_DEPTH} levels`)
  for (const value of list) {
    writer.tag(LIST_VALUES, WireType.LengthDelimited).fork()
    writeValue(writer, value, depth)
    writer.join()
  }
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

import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf'
import { MappingError } from '../domain/errors.ts'

/** Decodes a message; bytes that are none become a MappingError that names the expected type. */
export function decodeMessage<S extends DescMessage>(schema: S, bytes: Uint8Array): MessageShape<S> {
  try {
    return fromBinary(schema, bytes)
  } catch (error) {
    throw notA(schema, error)
  }
}

/** The error for bytes that are not a message of the schema's type. */
export function notA(schema: DescMessage, cause: unknown): MappingError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new MappingError(`not a ${schema.typeName}: ${reason}`, { cause })
}

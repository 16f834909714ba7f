/** A protobuf message that does not say what the domain needs. The message names the field and is fit for a dead letter's reason. */
export class MappingError extends Error {
  override readonly name = 'MappingError'
  readonly code = 'unmappable'
}

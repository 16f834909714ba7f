import type { JsonObject, JsonValue } from '../entities.ts'

/** The languages of codecs. `cayenne_lpp` is built in and has no source. */
export const CODEC_KINDS = ['cel', 'javascript', 'cayenne_lpp'] as const
export type CodecKind = (typeof CODEC_KINDS)[number]

/** Converts the payloads of a device. */
export interface Codec {
  readonly kind: CodecKind
  /** A CEL expression or a JavaScript program; ignored for `cayenne_lpp`. */
  readonly source: string
}

/** What a codec makes of a payload: one reading, or a list of readings (see reading.ts). */
export type Decoded = JsonObject | readonly JsonValue[]

/** Limits of sources in bytes of UTF-8. */
const MAX_SOURCE_BYTES: Readonly<Record<CodecKind, number>> = {
  cel: 4096,
  javascript: 64 * 1024,
  cayenne_lpp: 0,
}

/** Returns the error message for a source that is too long; undefined otherwise. */
export function sourceSizeError({ kind, source }: Codec): string | undefined {
  const max = MAX_SOURCE_BYTES[kind]
  // A character has at most three bytes of UTF-8 per UTF-16 code unit.
  if (kind === 'cayenne_lpp' || source.length * 3 <= max) return undefined
  const size = Buffer.byteLength(source)
  if (size <= max) return undefined
  return `the ${kind === 'cel' ? 'expression' : 'codec'} has ${size} bytes, at most ${max} are allowed`
}

import type { Codec, Decoded } from '../domain/codecs/codec.ts'
import type { Uplink } from '../domain/entities.ts'
import type { Instant } from '../domain/instant.ts'

/** The result of one evaluation. The reason is one line with the position in the source, suitable for a dead letter. */
export type Evaluation =
  /** `size`: approximate bytes of the data and the warnings as JSON. */
  { readonly ok: true; readonly data: Decoded; readonly warnings?: readonly string[]; readonly size: number } | Failure

export interface Failure {
  readonly ok: false
  readonly reason: string
  /** The limit that the evaluation exceeded, of those that it took long to reach: several such failures quarantine the codec. */
  readonly exceeded?: 'time' | 'memory' | 'stack'
}

/** What a codec may use of an envelope besides the payload. */
export interface EnvelopeContext {
  readonly receivedAt: Instant
  readonly uplink?: Uplink | undefined
  /** False: the result is that of decodeUplink, even if the codec has normalizeUplink. Default true. */
  readonly normalize?: boolean | undefined
}

/** Names in CEL expressions whose variables are sent to the worker; matches more, such as texts. */
const CONTEXT_VARIABLE = /f_port|f_cnt|metadata|received_at/

/** Returns whether a codec may use more than the payload. */
export function usesContext({ kind, source }: Codec): boolean {
  return kind === 'javascript' || (kind === 'cel' && CONTEXT_VARIABLE.test(source))
}

/** Limits of results: approximate bytes of JSON, and the nesting of maps and lists. */
export const RESULT_LIMITS = {
  /** The broker's message limit is not much larger. */
  bytes: 1024 * 1024,
  /** Each level takes three messages of a protobuf Struct, and readers allow 100. */
  depth: 32,
} as const

/** Truncates a path or message, which contains texts from the codec and can be as long as the result. */
export function truncate(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1)}…`
}

/** Returns a message as a reason: one line of at most 500 characters. */
export function oneLine(message: string): string {
  return truncate(message.replaceAll(/\s+/g, ' ').trim(), 500)
}

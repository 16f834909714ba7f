import type { NatsClient } from './connection.ts'

/** A stream as this project needs it; W-1 has the four. */
export interface StreamDefinition {
  readonly name: string
  readonly subjects: readonly string[]
  readonly maxAgeMs?: number
  readonly maxBytes?: number
  readonly duplicateWindowMs?: number
}

/** The streams of W-1, with the names and limits that the environment gives. */
export function streamDefinitions(_environment: {
  readonly rawStream: string
  readonly processedStream: string
  readonly gatewayStream: string
  readonly maxAgeMs: number
  readonly maxBytes: number
  readonly duplicateWindowMs: number
}): readonly StreamDefinition[] {
  throw new Error('to be built')
}

/** Creates what is missing; a stream of that name with other subjects is an error that shows both, and is never changed (N-1). */
export function ensureStreams(_client: NatsClient, _streams: readonly StreamDefinition[]): Promise<void> {
  throw new Error('to be built')
}

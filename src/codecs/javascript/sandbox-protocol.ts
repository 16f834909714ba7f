// What the host and the prelude in the sandbox share.

/** The cells of the shared buffer, each a 64-bit float; the payload follows them. */
export const CELL = {
  payloadLength: 0,
  fPort: 1,
  receivedAtMs: 2,
  /** 1: normalizeUplink is applied. */
  normalize: 3,
  /** Written by `run`: 1 if there are warnings. */
  hasWarnings: 4,
  /** Written by `convert` and `warnings`: approximate bytes as JSON. */
  size: 5,
} as const

export const PAYLOAD_OFFSET = 64
/** Larger payloads have a buffer of their own. */
export const PAYLOAD_CAPACITY = 512

/** The bytes by which a value that is not a text counts. The result itself does not count, as in CEL. */
export const VALUE_BYTES = 8

/** The first character of a text that a function of the prelude returns. */
export const REPLY = { json: 'J', failure: 'F', exception: 'X' } as const
/** Separates the text of an exception from its stack. */
export const STACK_SEPARATOR = '\u0001'

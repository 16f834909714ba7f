/** The codes with which a broker refuses a client or ends a connection: of CONNACK in MQTT 3.1.1 (3.2.2.3), then of MQTT 5 (2.4). */
const REASONS: Readonly<Record<number, string>> = {
  1: 'unacceptable protocol version',
  2: 'client id rejected',
  3: 'broker unavailable',
  4: 'bad username or password',
  5: 'not authorized',
  0x80: 'unspecified error',
  0x81: 'malformed packet',
  0x82: 'protocol error',
  0x83: 'implementation specific error',
  0x84: 'unsupported protocol version',
  0x85: 'client id rejected',
  0x86: 'bad username or password',
  0x87: 'not authorized',
  0x88: 'broker unavailable',
  0x89: 'broker busy',
  0x8a: 'client banned',
  0x8b: 'broker shutting down',
  0x8c: 'bad authentication method',
  0x8d: 'keep alive timeout',
  0x8e: 'session taken over by a connection with the same client id',
  0x8f: 'topic filter invalid',
  0x93: 'receive maximum exceeded',
  0x95: 'packet too large',
  0x96: 'message rate too high',
  0x97: 'quota exceeded',
  0x98: 'administrative action',
  0x9c: 'use another server',
  0x9d: 'server moved',
  0x9e: 'shared subscriptions not supported',
  0x9f: 'connection rate exceeded',
  0xa1: 'subscription identifiers not supported',
  0xa2: 'wildcard subscriptions not supported',
}

/** Returns the meaning of a reason code. */
export function reasonOf(code: number): string {
  return REASONS[code] ?? `reason code ${code}`
}

/** The broker rejected the connection with a CONNACK; `code` is its reason code. */
export class ConnectionRefused extends Error {
  override readonly name = 'ConnectionRefused'
  readonly code: number

  constructor(code: number) {
    super(`connection refused by the broker: ${reasonOf(code)}`)
    this.code = code
  }

  /** Whether the broker does not speak the version: a code of MQTT 3.1.1, or of MQTT 5. */
  get isVersion(): boolean {
    return this.code === 1 || this.code === 0x84
  }
}

export const CLOSED = 'the broker closed the connection'

/** The broker closed the connection instead of an answer, as some do that do not speak the version. */
export class ClosedWithoutAnswer extends Error {
  override readonly name = 'ClosedWithoutAnswer'
}

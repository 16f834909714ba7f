const ORIGIN_BYTES = 5
const COUNTER_BYTES = 3
const MAX_COUNTER = 0xff_ff_ff

/** Returns a new id at each call. */
export type IdGenerator = () => string

export interface IdSource {
  /** Returns the milliseconds since the epoch. */
  readonly now: () => number
  /** Returns random bytes. */
  readonly random: (length: number) => Uint8Array
}

const SYSTEM: IdSource = {
  now: () => Date.now(),
  random: (length) => crypto.getRandomValues(new Uint8Array(length)),
}

/**
 * Generates ids in the xid format: 12 bytes (4 of seconds, 5 random ones per generator, 3 of a counter with a random start) as
 * 20 characters `0-9a-v`. The ids of one generator sort in the order of creation even if the clock steps back; a counter that
 * overflows advances to the next second.
 */
export function createIdGenerator(source: IdSource = SYSTEM): IdGenerator {
  const origin = randomNumber(source, ORIGIN_BYTES)
  let second = 0
  let counter = MAX_COUNTER
  return () => {
    const present = Math.floor(source.now() / 1000)
    if (present > second || counter === MAX_COUNTER) {
      second = Math.max(present, second + 1)
      counter = Number(randomNumber(source, COUNTER_BYTES))
    } else {
      counter += 1
    }
    const bits = (BigInt(second) << 64n) | (origin << 24n) | BigInt(counter)
    // 96 bits as 20 digits of 5 bits: the lowercase "extended hex" base32 of RFC 4648, which keeps the order.
    return (bits << 4n).toString(32).padStart(20, '0')
  }
}

function randomNumber(source: IdSource, bytes: number): bigint {
  return source.random(bytes).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n)
}

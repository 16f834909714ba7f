const ALPHABET = '0123456789abcdefghijklmnopqrstuv'
const ORIGIN_BYTES = 5
const MAX_COUNTER = 0xff_ff_ff

/** Makes a new id with each call. */
export type IdGenerator = () => string

export interface IdSource {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** That many random bytes. */
  readonly random: (length: number) => Uint8Array
}

const SYSTEM: IdSource = {
  now: () => Date.now(),
  random: (length) => crypto.getRandomValues(new Uint8Array(length)),
}

/**
 * Ids in the form of xid: 12 bytes (4 of seconds, 5 random ones for this generator, 3 of a counter that starts at random) as
 * 20 characters `0-9a-v`. The ids of one generator sort in the order in which they were made, also when the clock steps back;
 * a counter that is full borrows the next second.
 */
export function createIdGenerator(source: IdSource = SYSTEM): IdGenerator {
  const origin = source.random(ORIGIN_BYTES)
  let second = 0
  let counter = MAX_COUNTER
  return () => {
    const present = Math.floor(source.now() / 1000)
    if (present > second) {
      second = present
      counter = startOfCounter(source)
    } else if (counter === MAX_COUNTER) {
      second += 1
      counter = startOfCounter(source)
    } else {
      counter += 1
    }
    return encode(Uint8Array.of(...bigEndian(second, 4), ...origin, ...bigEndian(counter, 3)))
  }
}

function startOfCounter(source: IdSource): number {
  const [high = 0, middle = 0, low = 0] = source.random(3)
  return (high << 16) | (middle << 8) | low
}

function bigEndian(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, index) => Math.floor(value / 256 ** (bytes - 1 - index)) % 256)
}

/** Base32 with the "extended hex" alphabet of RFC 4648, lowercase, no padding: it keeps the order of the bytes. */
function encode(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xf_ff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += ALPHABET.charAt((held >> bits) & 31)
    }
  }
  return bits === 0 ? text : text + ALPHABET.charAt((held << (5 - bits)) & 31)
}

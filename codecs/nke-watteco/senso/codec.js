// Watteco (nke) sensors: standard reports of attributes in the form of the ZigBee Cluster Library.

const ATTRIBUTES = {
  '0402/0000': (value) => ({ temperature_c: value / 100 }),
  '0405/0000': (value) => ({ humidity_percent: value / 100 }),
  '0006/0000': (value) => ({ on: value !== 0 }),
  '000f/0055': (value) => ({ input: value !== 0 }),
  '000f/0402': (value) => ({ input_count: value }),
  '000c/0055': (value) => ({ analog: value }),
}
/** The data types of the library: bytes and conversion. */
const TYPES = {
  0x10: [1, uint],
  0x20: [1, uint],
  0x21: [2, uint],
  0x23: [4, uint],
  0x28: [1, int],
  0x29: [2, int],
  0x2b: [4, int],
  0x39: [4, float],
}
const REPORT = 0x0a

function decodeUplink({ bytes }) {
  const [control, command, ...rest] = bytes
  if (command !== REPORT) return { errors: [`the command ${command} is not supported, only ${REPORT}`] }
  const attribute = `${hex(rest.slice(0, 2))}/${hex(rest.slice(2, 4))}`
  const read = ATTRIBUTES[attribute]
  if (read === undefined) return { errors: [`the attribute ${attribute} is not supported`] }
  const [size, convert] = TYPES[rest[4]] || []
  if (size === undefined) return { errors: [`the data type ${rest[4]} is not supported`] }
  if (rest.length < 5 + size) return { errors: [`the attribute needs ${size} bytes, got ${rest.length - 5}`] }
  // Bits 7 to 5 of the frame control are bits 2 to 0 of the end point, bits 2 and 1 its bits 4 and 3.
  const endpoint = (control >> 5) | ((control & 0x06) << 2)
  return { data: { endpoint, ...read(convert(rest.slice(5, 5 + size))) } }
}

function uint(bytes) {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0)
}

function int(bytes) {
  return bytes[0] > 0x7f ? uint(bytes) - 256 ** bytes.length : uint(bytes)
}

function float(bytes) {
  return new DataView(Uint8Array.from(bytes).buffer).getFloat32(0)
}

function hex(bytes) {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

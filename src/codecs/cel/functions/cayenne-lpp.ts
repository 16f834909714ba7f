import { LppError } from '../../../domain/errors.ts'
import { toRfc3339 } from '../../../domain/instant.ts'
import { readInt24 } from './bytes-functions.ts'

/** A decoded field: `switch` is a boolean, `colour` and `unix_time` are strings, vectors are records, all others numbers. */
export type LppValue = number | boolean | string | Readonly<Record<string, number>>

interface LppType {
  readonly name: string
  /** Data bytes after channel and type. */
  readonly size: number
  read(view: DataView, offset: number): LppValue
}

/** Returns a type: a number of this size, divided by the divisor of its type. */
function numeric(size: number, get: (view: DataView, offset: number) => number) {
  return (name: string, divisor = 1): LppType => ({ name, size, read: (view, offset) => get(view, offset) / divisor })
}

const u8 = numeric(1, (view, offset) => view.getUint8(offset))
const u16 = numeric(2, (view, offset) => view.getUint16(offset))
const i16 = numeric(2, (view, offset) => view.getInt16(offset))
const u32 = numeric(4, (view, offset) => view.getUint32(offset))

function vector(name: string, divisor: number): LppType {
  return {
    name,
    size: 6,
    read: (view, offset) => ({
      x: view.getInt16(offset) / divisor,
      y: view.getInt16(offset + 2) / divisor,
      z: view.getInt16(offset + 4) / divisor,
    }),
  }
}

const unixTime: LppType = {
  name: 'unix_time',
  size: 4,
  read: (view, offset) => toRfc3339(BigInt(view.getUint32(offset)) * 1_000_000n).replace('.000000Z', 'Z'),
}

const colour: LppType = {
  name: 'colour',
  size: 3,
  read: (view, offset) => {
    const rgb = view.getUint16(offset) * 0x1_00 + view.getUint8(offset + 2)
    return `#${rgb.toString(16).toUpperCase().padStart(6, '0')}`
  },
}

const gps: LppType = {
  name: 'gps',
  size: 9,
  read: (view, offset) => ({
    latitude: readInt24(view, offset, false) / 10_000,
    longitude: readInt24(view, offset + 3, false) / 10_000,
    altitude: readInt24(view, offset + 6, false) / 100,
  }),
}

const switched: LppType = { name: 'switch', size: 1, read: (view, offset) => view.getUint8(offset) !== 0 }

/** The supported types by their number on the wire. */
export const LPP_TYPES: ReadonlyMap<number, LppType> = new Map([
  [0, u8('digital_input')],
  [1, u8('digital_output')],
  [2, i16('analog_input', 100)],
  [3, i16('analog_output', 100)],
  [100, u32('generic_sensor')],
  [101, u16('illuminance')],
  [102, u8('presence')],
  [103, i16('temperature', 10)],
  [104, u8('humidity', 2)],
  [113, vector('accelerometer', 1000)],
  [115, u16('barometer', 10)],
  [116, u16('voltage', 100)],
  [117, u16('current', 1000)],
  [118, u32('frequency')],
  [120, u8('percentage')],
  [121, i16('altitude')],
  [125, u16('concentration')],
  [128, u16('power')],
  [130, u32('distance', 1000)],
  [131, u32('energy', 1000)],
  [132, u16('direction')],
  [133, unixTime],
  [134, vector('gyrometer', 100)],
  [135, colour],
  [136, gps],
  [142, switched],
])

/**
 * Decodes a Cayenne Low Power Payload, a sequence of channel, type and big-endian data. The key of a field is
 * `{name}_{channel}`; the last field of a key wins. Throws LppError.
 */
export function decodeCayenneLpp(payload: Uint8Array): Map<string, LppValue> {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const fields = new Map<string, LppValue>()
  let offset = 0
  while (offset < payload.length) {
    if (offset + 2 > payload.length)
      throw new LppError(`Cayenne LPP: the payload ends after the channel at byte ${offset}; expected a type`)
    const channel = view.getUint8(offset)
    const type = LPP_TYPES.get(view.getUint8(offset + 1))
    if (type === undefined)
      throw new LppError(`Cayenne LPP: unknown type ${view.getUint8(offset + 1)} at byte ${offset + 1}`)
    const start = offset + 2
    if (start + type.size > payload.length)
      throw new LppError(
        `Cayenne LPP: ${type.name} at byte ${offset} needs ${type.size} bytes of data, got ${payload.length - start}`,
      )
    fields.set(`${type.name}_${channel}`, type.read(view, start))
    offset = start + type.size
  }
  return fields
}

// RAKwireless RAK5205 WisTrio: position, battery, acceleration and environment; each value after two bytes that identify it.

const FIELDS = {
  '0188': [
    11,
    (b, i) => ({ latitude_deg: int24(b, i) / 10000, longitude_deg: int24(b, i + 3) / 10000, ...movement(b, i) }),
  ],
  '0267': [2, (b, i) => ({ temperature_c: int16(b, i) / 10 })],
  '0371': [6, (b, i) => ({ acceleration_mg: { x: int16(b, i), y: int16(b, i + 2), z: int16(b, i + 4) } })],
  '0568': [1, (b, i) => ({ humidity_percent: b[i] / 2 })],
  '0673': [2, (b, i) => ({ pressure_hpa: uint16(b, i) / 10 })],
  '0702': [2, (b, i) => ({ battery_v: uint16(b, i) / 100 })],
}

function decodeUplink({ bytes }) {
  const data = {}
  for (let index = 0; index < bytes.length;) {
    const header = hex(bytes.slice(index, index + 2))
    const [size, read] = FIELDS[header] || []
    if (size === undefined) return { errors: [`unknown header "${header}" at byte ${index}`] }
    if (index + 2 + size > bytes.length) return { errors: [`the field "${header}" at byte ${index} is incomplete`] }
    Object.assign(data, read(bytes, index + 2))
    index += 2 + size
  }
  return { data }
}

function movement(b, i) {
  return { altitude_m: int24(b, i + 6) / 100, speed_kmh: uint16(b, i + 9) / 100 }
}

function uint16(b, i) {
  return (b[i] << 8) | b[i + 1]
}

function int16(b, i) {
  return (uint16(b, i) << 16) >> 16
}

function int24(b, i) {
  return ((uint16(b, i) << 16) | (b[i + 2] << 8)) >> 8
}

function hex(bytes) {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

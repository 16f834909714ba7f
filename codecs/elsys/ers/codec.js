// ELSYS ERS, ELT and others: fields of a type and data, in any combination.

const FIELDS = {
  '01': [2, (b, i) => ({ temperature_c: int16(b, i) / 10 })],
  '02': [1, (b, i) => ({ humidity_percent: b[i] })],
  '03': [3, (b, i) => ({ acceleration: { x: int8(b[i]), y: int8(b[i + 1]), z: int8(b[i + 2]) } })],
  '04': [2, (b, i) => ({ illuminance_lux: uint16(b, i) })],
  '05': [1, (b, i) => ({ motion_count: b[i] })],
  '06': [2, (b, i) => ({ co2_ppm: uint16(b, i) })],
  '07': [2, (b, i) => ({ battery_v: uint16(b, i) / 1000 })],
  '08': [2, (b, i) => ({ analog_mv: uint16(b, i) })],
  '0a': [2, (b, i) => ({ pulses: uint16(b, i) })],
  '0b': [4, (b, i) => ({ pulses_total: uint32(b, i) })],
  '0c': [2, (b, i) => ({ external_temperature_c: int16(b, i) / 10 })],
  '0d': [1, (b, i) => ({ external_input: b[i] === 1 })],
  '0e': [2, (b, i) => ({ distance_mm: uint16(b, i) })],
  '0f': [1, (b, i) => ({ moved: b[i] === 1 })],
  10: [4, (b, i) => ({ infrared_inside_c: int16(b, i) / 10, infrared_outside_c: int16(b, i + 2) / 10 })],
  11: [1, (b, i) => ({ occupancy: b[i] })],
  12: [1, (b, i) => ({ water: b[i] })],
  14: [4, (b, i) => ({ pressure_hpa: uint32(b, i) / 1000 })],
}

function decodeUplink({ bytes }) {
  const data = {}
  for (let index = 0; index < bytes.length;) {
    const header = bytes[index].toString(16).padStart(2, '0')
    const [size, read] = FIELDS[header] || []
    if (size === undefined) return { errors: [`unknown header "${header}" at byte ${index}`] }
    const left = bytes.length - index
    if (left <= size) return { errors: [`the field "${header}" at byte ${index} needs ${size + 1} bytes, got ${left}`] }
    Object.assign(data, read(bytes, index + 1))
    index += 1 + size
  }
  return { data }
}

function int8(byte) {
  return (byte << 24) >> 24
}

function uint16(bytes, index) {
  return (bytes[index] << 8) | bytes[index + 1]
}

function int16(bytes, index) {
  return (uint16(bytes, index) << 16) >> 16
}

function uint32(bytes, index) {
  return uint16(bytes, index) * 65536 + uint16(bytes, index + 2)
}

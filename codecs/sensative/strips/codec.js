// Sensative Strips: a history counter, then reports of a type and data. Bit 7 of the type marks records of the history.

const REPORTS = {
  1: [1, (b, i) => ({ battery_percent: b[i] })],
  2: [2, (b, i) => ({ temperature_c: int16(b, i) / 10 })],
  3: [1, (b, i) => ({ high_temperature_alarm: (b[i] & 1) !== 0, low_temperature_alarm: (b[i] & 2) !== 0 })],
  4: [2, (b, i) => ({ average_temperature_c: int16(b, i) / 10 })],
  6: [1, (b, i) => ({ humidity_percent: b[i] / 2 })],
  7: [2, (b, i) => ({ illuminance_lux: uint16(b, i) })],
  9: [1, (b, i) => ({ door: b[i] })],
  10: [1, (b, i) => ({ door_alarm: b[i] !== 0 })],
  11: [1, (b, i) => ({ tamper: b[i] !== 0 })],
  13: [1, (b, i) => ({ flood_percent: b[i] })],
  14: [1, (b, i) => ({ flood_alarm: b[i] !== 0 })],
}

function decodeUplink({ bytes, fPort }) {
  if (fPort !== 1) return { errors: [`port ${fPort} is not supported, only 1`] }
  if (bytes.length < 2) return { errors: [`expected at least 2 bytes, got ${bytes.length}`] }
  const data = {}
  for (let index = 2; index < bytes.length;) {
    const type = bytes[index]
    if (type & 0x80) return { errors: [`records of the history (type ${type}) are not supported`] }
    const [size, read] = REPORTS[type] || []
    if (size === undefined) return { errors: [`the report type ${type} at byte ${index} is not supported`] }
    if (index + size >= bytes.length) return { errors: [`the report at byte ${index} is incomplete`] }
    Object.assign(data, read(bytes, index + 1))
    index += 1 + size
  }
  return { data }
}

function uint16(b, i) {
  return (b[i] << 8) | b[i + 1]
}

function int16(b, i) {
  return (uint16(b, i) << 16) >> 16
}

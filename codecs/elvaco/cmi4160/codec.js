// Elvaco CMi4160 (Diehl Sharky), message format "standard" (1E): records of M-Bus (EN 13757-3).

const INTEGER_BYTES = { 1: 1, 2: 2, 3: 3, 4: 4, 6: 6 }
const BCD_BYTES = { 9: 1, 10: 2, 11: 3, 12: 4, 14: 6 }
/** First value information byte, number of codes, name, exponent of ten of the first code. */
const UNITS = [
  [0x00, 8, 'energy_kwh', -6],
  [0x08, 8, 'energy_mj', -6],
  [0x10, 8, 'volume_m3', -6],
  [0x28, 8, 'power_w', -3],
  [0x38, 8, 'flow_m3_h', -6],
  [0x58, 4, 'flow_temperature_c', -3],
  [0x5c, 4, 'return_temperature_c', -3],
  [0x60, 4, 'temperature_difference_k', -3],
]

function decodeUplink({ bytes }) {
  if (bytes[0] !== 0x1e) return { errors: [`the message format ${bytes[0]} is not supported, only 30 (standard)`] }
  const data = {}
  for (let index = 1; index < bytes.length;) {
    const dif = bytes[index]
    const size = INTEGER_BYTES[dif] || BCD_BYTES[dif]
    if (size === undefined) return { errors: [`the data information ${dif} at byte ${index} is not supported`] }
    const extended = bytes[index + 1] === 0xfd
    const start = index + (extended ? 3 : 2)
    if (start + size > bytes.length) return { errors: [`the record at byte ${index} is incomplete`] }
    const field = bytes.slice(start, start + size).reverse()
    const found = extended ? extension(bytes[index + 2], field) : quantity(bytes[index + 1], dif, field)
    if (found === undefined) return { errors: [`the unit of the record at byte ${index} is not supported`] }
    Object.assign(data, found)
    index = start + size
  }
  return { data }
}

function quantity(vif, dif, field) {
  if (vif === 0x78) return { meter_id: hex(field) }
  const unit = UNITS.find(([first, count]) => vif >= first && vif < first + count)
  if (unit === undefined) return undefined
  const [first, , name, exponent] = unit
  return { [name]: scale(dif in BCD_BYTES ? decimal(field) : integer(field), exponent + vif - first) }
}

function extension(vife, field) {
  return vife === 0x17 ? { error_flags: natural(field) } : undefined
}

function scale(value, exponent) {
  return exponent < 0 ? value / 10 ** -exponent : value * 10 ** exponent
}

function natural(field) {
  return field.reduce((sum, byte) => sum * 256 + byte, 0)
}

function integer(field) {
  return field[0] > 0x7f ? natural(field) - 256 ** field.length : natural(field)
}

function decimal(field) {
  if (!/^[0-9]+$/.test(hex(field))) throw new Error(`${hex(field)} is not a decimal number`)
  return Number(hex(field))
}

function hex(bytes) {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

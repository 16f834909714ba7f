// Milesight AM103: temperature, humidity and CO2 indoors; stored records are readings with their time.

function decodeUplink({ bytes }) {
  const data = {}
  const readings = []
  let index = 0
  while (index < bytes.length) {
    const header = hex(bytes.slice(index, index + 2))
    const size = SIZES[header]
    if (size === undefined) return { errors: [`unknown header "${header}" at byte ${index}`] }
    const field = bytes.slice(index + 2, index + 2 + size)
    if (field.length < size) return { errors: [`the field "${header}" at byte ${index} is incomplete`] }
    if (header === '20ce') readings.push(record(field))
    else Object.assign(data, value(header, field))
    index += 2 + size
  }
  if (readings.length === 0) return { data }
  return { data: Object.keys(data).length === 0 ? readings : [{ data }, ...readings] }
}

const SIZES = {
  '0175': 1,
  '0367': 2,
  '0468': 1,
  '077d': 2,
  '20ce': 9,
  ff01: 1,
  ff09: 2,
  ff0a: 2,
  ff0b: 1,
  ff0f: 1,
  ff16: 8,
  ff18: 2,
}

function value(header, field) {
  switch (header) {
    case '0175':
      return { battery_percent: field[0] }
    case '0367':
      return { temperature_c: int16(field, 0) / 10 }
    case '0468':
      return { humidity_percent: field[0] / 2 }
    case '077d':
      return { co2_ppm: uint16(field, 0) }
    case 'ff16':
      return { serial_number: hex(field) }
    case 'ff18':
      return { sensors_enabled: field[1] }
    default:
      return {}
  }
}

function record(field) {
  const seconds = uint16(field, 0) + uint16(field, 2) * 65536
  return {
    time: new Date(seconds * 1000).toISOString(),
    data: { temperature_c: int16(field, 4) / 10, humidity_percent: field[6] / 2, co2_ppm: uint16(field, 7) },
  }
}

function uint16(bytes, index) {
  return bytes[index] | (bytes[index + 1] << 8)
}

function int16(bytes, index) {
  return (uint16(bytes, index) << 16) >> 16
}

function hex(bytes) {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

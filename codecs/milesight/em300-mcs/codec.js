// Milesight EM300-MCS: magnet switch, temperature and humidity; stored records are readings with their time.

const FIELDS = {
  '0175': [1, (b, i) => ({ battery_percent: b[i] })],
  '0367': [2, (b, i) => ({ temperature_c: int16(b, i) / 10 })],
  '0468': [1, (b, i) => ({ humidity_percent: b[i] / 2 })],
  '0600': [1, (b, i) => ({ open: b[i] === 1 })],
  ff0b: [1, () => ({ power_on: true })],
  ff01: [1, (b, i) => ({ protocol_version: b[i] })],
  ff16: [8, (b, i) => ({ serial_number: hex(b.slice(i, i + 8)) })],
  ff09: [2, (b, i) => ({ hardware_version: `${b[i]}.${b[i + 1] >> 4}` })],
  ff0a: [2, (b, i) => ({ firmware_version: `${b[i]}.${b[i + 1]}` })],
  ff0f: [1, (b, i) => ({ device_class: 'ABC'[b[i]] })],
}
const RECORD = '20ce'
const RECORD_BYTES = 8

function decodeUplink({ bytes }) {
  const data = {}
  const readings = []
  for (let index = 0; index < bytes.length;) {
    const header = hex(bytes.slice(index, index + 2))
    const [size, read] = header === RECORD ? [RECORD_BYTES] : FIELDS[header] || []
    if (size === undefined) return { errors: [`unknown header "${header}" at byte ${index}`] }
    if (index + 2 + size > bytes.length) return { errors: [`the field "${header}" at byte ${index} is incomplete`] }
    if (header === RECORD) readings.push(record(bytes, index + 2))
    else Object.assign(data, read(bytes, index + 2))
    index += 2 + size
  }
  if (readings.length === 0) return { data }
  return { data: Object.keys(data).length === 0 ? readings : [{ data }, ...readings] }
}

function record(b, i) {
  const seconds = (b[i] | (b[i + 1] << 8) | (b[i + 2] << 16) | (b[i + 3] << 24)) >>> 0
  return {
    time: new Date(seconds * 1000).toISOString(),
    data: { temperature_c: int16(b, i + 4) / 10, humidity_percent: b[i + 6] / 2, open: b[i + 7] === 1 },
  }
}

function int16(b, i) {
  return ((b[i] | (b[i + 1] << 8)) << 16) >> 16
}

function hex(bytes) {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

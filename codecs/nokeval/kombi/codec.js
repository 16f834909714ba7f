// Nokeval Kombi: indoor air, measurement message. Flags tell which values and which states of sensors follow; the lowest byte is first.

const FIELDS = [
  [0, 'temperature_c', 100, true],
  [1, 'humidity_percent', 100, false],
  [3, 'voc_ppb', 1, false],
  [4, 'pressure_difference_pa', 100, true],
  [5, 'co2_ppm', 1, false],
]
const STATES = { 3: 'voc_status', 4: 'pressure_status', 5: 'co2_status' }

function decodeUplink({ bytes }) {
  const [version, length, type, format, , flags] = bytes
  if (version !== 1 || type !== 10 || format !== 1)
    return { errors: [`version ${version}, type ${type}, format ${format} is not supported, only 1, 10, 1`] }
  if (bytes.length < length + 2) return { errors: [`expected at least ${length + 2} bytes, got ${bytes.length}`] }
  if (flags & 0xc4) return { errors: [`the measurement flags ${flags} are not supported`] }
  const data = {}
  let index = 6
  for (const [, name, divisor, signed] of FIELDS.filter(([bit]) => (flags >> bit) & 1)) {
    const word = bytes[index] | (bytes[index + 1] << 8)
    data[name] = (signed ? (word << 16) >> 16 : word) / divisor
    index += 2
  }
  return withStates(data, bytes.slice(index))
}

function withStates(data, [flags, ...states]) {
  const warnings = []
  for (let bit = 0; bit < 8; bit += 1)
    if ((flags >> bit) & 1) warnings.push(`${STATES[bit] || `status_${bit}`} is ${states.shift()}`)
  return { data, warnings }
}

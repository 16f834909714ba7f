// Seeed SenseCAP sensors (first generation): frames of seven bytes and two bytes of CRC. Values are thousandths.

const FRAME_BYTES = 7
const MEASUREMENTS = {
  4097: 'temperature_c',
  4098: 'humidity_percent',
  4099: 'illuminance_lux',
  4100: 'co2_ppm',
  4101: 'pressure_pa',
  4102: 'soil_temperature_c',
  4103: 'soil_moisture_percent',
}

function decodeUplink({ bytes }) {
  if (bytes.length < FRAME_BYTES + 2 || bytes.length % FRAME_BYTES !== 2)
    return { errors: [`${bytes.length} bytes are not whole frames and a CRC`] }
  const data = {}
  const warnings = []
  for (let index = 0; index + FRAME_BYTES < bytes.length; index += FRAME_BYTES) {
    const id = bytes[index + 1] | (bytes[index + 2] << 8)
    const name = MEASUREMENTS[id]
    if (name === undefined) warnings.push(`the measurement ${id} is unknown`)
    else data[name] = int32(bytes, index + 3) / 1000
  }
  return { data, warnings }
}

function int32(bytes, index) {
  return bytes[index] | (bytes[index + 1] << 8) | (bytes[index + 2] << 16) | (bytes[index + 3] << 24)
}

// Decentlab DL-SHT35: temperature and humidity of the air. Bit 0 of the flags: the sensor's two words follow; bit 1: the battery.

function decodeUplink({ bytes }) {
  const [version] = bytes
  if (version !== undefined && version !== 2) return { data: { protocol_version: version, raw: hex(bytes) } }
  let index = 1
  const word = () => {
    if (index + 2 > bytes.length) throw new Error(`more bytes were expected, but there are only ${bytes.length}`)
    index += 2
    return bytes[index - 2] * 256 + bytes[index - 1]
  }
  const data = { device_id: word() }
  const flags = word()
  if (flags & 1) {
    data.temperature_c = (175 * word()) / 65535 - 45
    data.humidity_percent = (100 * word()) / 65535
  }
  if (flags & 2) data.battery_v = word() / 1000
  return { data }
}

function hex(bytes) {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

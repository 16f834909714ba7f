// Decentlab DL-5TM: soil moisture and temperature. Bit 0 of the flags: the sensor's two words follow; bit 1: the battery.

function decodeUplink({ bytes }) {
  if (bytes[0] !== 2) return { errors: [`protocol version ${bytes[0]} is not supported, only 2`] }
  const words = []
  for (let i = 1; i + 1 < bytes.length; i += 2) words.push(bytes[i] * 256 + bytes[i + 1])
  const [deviceId, flags, ...values] = words
  const expected = (flags & 1 ? 2 : 0) + (flags & 2 ? 1 : 0)
  if (values.length !== expected) return { errors: [`expected ${expected} values, got ${values.length}`] }
  const data = { device_id: deviceId }
  if (flags & 1) Object.assign(data, soil(values.shift() / 50, values.shift()))
  if (flags & 2) data.battery_v = values.shift() / 1000
  return { data }
}

/** Topp's equation converts the permittivity to the content of water. */
function soil(permittivity, temperature) {
  return {
    permittivity,
    water_content_m3_m3: 0.0000043 * permittivity ** 3 - 0.00055 * permittivity ** 2 + 0.0292 * permittivity - 0.053,
    soil_temperature_c: (temperature - 400) / 10,
  }
}

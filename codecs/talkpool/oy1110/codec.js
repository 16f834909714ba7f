// Talkpool OY1110: temperature and humidity. Port 2: one measurement; port 3: several, the latest first, at equal intervals.

function decodeUplink({ bytes, fPort }) {
  if (fPort === 2 && bytes.length === 3) return { data: measurement(bytes, 0) }
  if (fPort !== 3) return { errors: [`a message of ${bytes.length} bytes on port ${fPort} is unknown`] }
  if (bytes.length < 4 || bytes.length % 3 !== 1)
    return { errors: [`${bytes.length} bytes are not a group of measurements`] }
  // Bit 7 set: the interval is in hours, otherwise in minutes.
  const interval = (bytes[0] & 0x7f) * (bytes[0] & 0x80 ? 3600 : 60)
  const readings = []
  for (let index = 1; index < bytes.length; index += 3)
    readings.push({ age_s: readings.length * interval, data: measurement(bytes, index) })
  return { data: readings }
}

function measurement(bytes, index) {
  const [high, humidityHigh, low] = bytes.slice(index, index + 3)
  return {
    temperature_c: (((high << 4) | (low >> 4)) - 800) / 10,
    humidity_percent: (((humidityHigh << 4) | (low & 0x0f)) - 250) / 10,
  }
}

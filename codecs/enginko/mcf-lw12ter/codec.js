// Enginko (mcf88) MCF-LW12TER: temperature, humidity and pressure. Each measurement has its time; the battery follows the last one.

const MEASUREMENT_BYTES = 10

function decodeUplink({ bytes }) {
  if (bytes[0] === 0x01) return { data: { message: 'time_sync_request', sync_id: hex(bytes.slice(1, 5)) } }
  if (bytes[0] !== 0x04) return { errors: [`the message ${bytes[0]} is not supported, only 1 and 4`] }
  const left = (bytes.length - 1) % MEASUREMENT_BYTES
  if (bytes.length <= MEASUREMENT_BYTES || left > 1)
    return { errors: [`${bytes.length} bytes are not whole measurements`] }
  const readings = []
  for (let index = 1; index + MEASUREMENT_BYTES <= bytes.length; index += MEASUREMENT_BYTES)
    readings.push(measurement(bytes.slice(index, index + MEASUREMENT_BYTES)))
  if (left === 1) readings[readings.length - 1].data.battery_percent = bytes[bytes.length - 1]
  return { data: readings }
}

function measurement(b) {
  return {
    time: timeOf((b[0] | (b[1] << 8) | (b[2] << 16) | (b[3] << 24)) >>> 0),
    data: {
      temperature_c: (((b[4] | (b[5] << 8)) << 16) >> 16) / 100,
      humidity_percent: b[6] / 2,
      pressure_hpa: (b[7] | (b[8] << 8) | (b[9] << 16)) / 100,
    },
  }
}

/** Seven bits of years since 2000, then month, day, hour, minute, and pairs of seconds. */
function timeOf(bits) {
  const field = (from, count) => (bits >>> from) & ((1 << count) - 1)
  const day = Date.UTC(2000 + field(25, 7), field(21, 4) - 1, field(16, 5))
  return new Date(day + (field(11, 5) * 3600 + field(5, 6) * 60 + field(0, 5) * 2) * 1000).toISOString()
}

function hex(bytes) {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

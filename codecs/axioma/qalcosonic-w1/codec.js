// Axioma Qalcosonic W1: water meter, extended payload. The volume now, and that of the log: one hourly value and fifteen increments.

const BYTES = 47
const HOUR_S = 3600

function decodeUplink({ bytes }) {
  if (bytes.length !== BYTES) return { errors: [`expected ${BYTES} bytes, got ${bytes.length}`] }
  const status = bytes[4]
  const now = { time: timeOf(uint32(bytes, 0)), data: { volume_m3: uint32(bytes, 5) / 1000, ...alarms(status) } }
  return { data: [now, ...log(uint32(bytes, 9), uint32(bytes, 13), bytes.slice(17))] }
}

function alarms(status) {
  return {
    status,
    low_battery: (status & 0x04) !== 0,
    permanent_error: (status & 0x08) !== 0,
    temporary_error: (status & 0x10) !== 0,
  }
}

/** The increments are litres per hour after the time of the first value. */
function log(seconds, litres, increments) {
  const readings = [{ time: timeOf(seconds), data: { volume_m3: litres / 1000 } }]
  let volume = litres
  for (let index = 0; index < increments.length; index += 2) {
    volume += increments[index] + increments[index + 1] * 256
    readings.push({ time: timeOf(seconds + readings.length * HOUR_S), data: { volume_m3: volume / 1000 } })
  }
  return readings
}

function timeOf(seconds) {
  return new Date(seconds * 1000).toISOString()
}

function uint32(bytes, index) {
  return (bytes[index] | (bytes[index + 1] << 8) | (bytes[index + 2] << 16) | (bytes[index + 3] << 24)) >>> 0
}

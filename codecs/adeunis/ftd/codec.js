// Adeunis field test device. The first byte tells which parts follow; coordinates are decimal digits (BCD).

function decodeUplink({ bytes }) {
  const has = (bit) => ((bytes[0] >> bit) & 1) === 1
  let index = 1
  const take = (count) => {
    if (index + count > bytes.length) throw new Error(`expected at least ${index + count} bytes, got ${bytes.length}`)
    index += count
    return bytes.slice(index - count, index)
  }
  if (bytes.length === 0) return { errors: ['the payload is empty'] }
  const data = { moved: has(6), button: has(5) }
  if (has(7)) data.temperature_c = int8(take(1)[0])
  if (has(4)) Object.assign(data, position(take(4), take(4)))
  if (has(4) && hasQuality(bytes.length - index, has)) Object.assign(data, quality(take(1)[0]))
  if (has(3)) data.uplink_counter = take(1)[0]
  if (has(2)) data.downlink_counter = take(1)[0]
  if (has(1)) data.battery_v = number(take(2)) / 1000
  if (has(0)) Object.assign(data, signal(take(2)))
  return { data }
}

/** Legacy messages do not contain the byte of the GPS quality: it exists if one byte more is left than the other parts need. */
function hasQuality(left, has) {
  return left > Number(has(3)) + Number(has(2)) + 2 * Number(has(1)) + 2 * Number(has(0))
}

/** Latitude DDMMmmm-, longitude DDDMMmm-: degrees, minutes, decimals of minutes, and the hemisphere in the lowest bit. */
function position(latitude, longitude) {
  return {
    latitude_deg: degrees(latitude, 2, 1000),
    longitude_deg: degrees(longitude, 3, 100),
  }
}

function degrees(bytes, degreeDigits, fraction) {
  const digits = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
  const value = Number(digits.slice(0, degreeDigits)) + Number(digits.slice(degreeDigits, 7)) / fraction / 60
  return bytes[3] & 1 ? -value : value
}

function quality(byte) {
  return { gps_quality: ['unknown', 'good', 'average', 'poor'][byte >> 4], satellites: byte & 0x0f }
}

function signal([rssi, snr]) {
  return { rssi_dbm: -rssi, snr_db: int8(snr) }
}

function number([high, low]) {
  return high * 256 + low
}

function int8(byte) {
  return (byte << 24) >> 24
}

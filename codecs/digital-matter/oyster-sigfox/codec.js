// Digital Matter Oyster for Sigfox: GPS tracker, message type 0 (position).

function decodeUplink({ bytes }) {
  if (bytes.length !== 12) return { errors: [`expected 12 bytes, got ${bytes.length}`] }
  const type = bytes[0] & 0x0f
  if (type !== 0) return { errors: [`message type ${type} is not supported, only 0`] }
  const data = {
    in_trip: (bytes[0] & 0x10) !== 0,
    last_fix_failed: (bytes[0] & 0x20) !== 0,
    latitude_deg: int32(bytes, 1) / 1e7,
    longitude_deg: int32(bytes, 5) / 1e7,
    heading_deg: bytes[9] * 2,
    speed_kmh: bytes[10],
    battery_v: (bytes[11] * 25) / 1000,
  }
  return { data, warnings: data.last_fix_failed ? ['the position is the last known one'] : [] }
}

function int32(bytes, index) {
  return bytes[index] | (bytes[index + 1] << 8) | (bytes[index + 2] << 16) | (bytes[index + 3] << 24)
}

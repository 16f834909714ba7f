// Netvox R718B2: two temperature probes. Bit 7 of the battery byte is set when the battery is low.

function decodeUplink({ bytes }) {
  if (bytes.length < 8) return { errors: [`expected 11 bytes, there are only ${bytes.length}`] }
  if (bytes[2] !== 1) return { data: { report_type: bytes[2], raw: hex(bytes) } }
  return {
    data: {
      battery_v: (bytes[3] & 0x7f) / 10,
      battery_low: bytes[3] > 0x7f,
      temperature_1_c: int16(bytes, 4) / 10,
      temperature_2_c: int16(bytes, 6) / 10,
    },
  }
}

function int16(bytes, index) {
  return (((bytes[index] << 8) | bytes[index + 1]) << 16) >> 16
}

function hex(bytes) {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

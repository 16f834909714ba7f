// Radio Bridge (MultiTech) RBS301-DWS: door and window sensor, with the messages that all sensors of the series send.

const MESSAGES = {
  0x00: { name: 'reset', bytes: 8, read: reset },
  0x01: { name: 'supervisory', bytes: 5, read: supervisory },
  0x02: { name: 'tamper', bytes: 3, read: (bytes) => ({ tamper_open: bytes[2] === 0 }) },
  0x03: { name: 'door', bytes: 3, read: (bytes) => ({ open: bytes[2] === 1 }) },
  0xff: { name: 'downlink_ack', bytes: 3, read: (bytes) => ({ downlink_status: bytes[2] }) },
}

function decodeUplink({ bytes }) {
  if (bytes.length < 2) return { errors: [`expected at least 2 bytes, got ${bytes.length}`] }
  const message = MESSAGES[bytes[1]]
  if (message === undefined) return { errors: [`the message type ${bytes[1]} is not supported`] }
  if (bytes.length < message.bytes) return { errors: [`expected ${message.bytes} bytes, got ${bytes.length}`] }
  return {
    data: {
      message: message.name,
      protocol_version: bytes[0] >> 4,
      packet_counter: bytes[0] & 0x0f,
      ...message.read(bytes),
    },
  }
}

function reset(bytes) {
  return { sensor_type: bytes[2], hardware_version: bytes[3], firmware_version: firmware((bytes[4] << 8) | bytes[5]) }
}

/** Bit 15 tells which of two formats the version has. */
function firmware(word) {
  return word & 0x8000
    ? `${(word >> 10) & 0x1f}.${(word >> 5) & 0x1f}.${word & 0x1f}`
    : `${(word >> 8) & 0x7f}.${word & 0xff}`
}

/** The battery is two decimal digits: 29 is 2.9 V. */
function supervisory(bytes) {
  return {
    tamper_since_reset: (bytes[2] & 0x10) !== 0,
    tamper_open: (bytes[2] & 0x08) !== 0,
    downlink_error: (bytes[2] & 0x04) !== 0,
    battery_low: (bytes[2] & 0x02) !== 0,
    radio_error: (bytes[2] & 0x01) !== 0,
    open: bytes[3] === 1,
    battery_v: (10 * (bytes[4] >> 4) + (bytes[4] & 0x0f)) / 10,
  }
}

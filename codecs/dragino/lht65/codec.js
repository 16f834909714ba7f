// Dragino LHT65, LHT65N: temperature and humidity, with an external sensor.

function decodeUplink({ bytes }) {
  if (bytes.length < 9) return { errors: [`expected at least 9 bytes, there are only ${bytes.length}`] }
  const battery = uint16(bytes, 0)
  return {
    data: {
      battery_status: battery >> 14,
      battery_v: (battery & 0x3fff) / 1000,
      temperature_c: int16(bytes, 2) / 100,
      humidity_percent: uint16(bytes, 4) / 10,
      ...external(bytes[6] & 0x7f, bytes),
    },
  }
}

function external(type, bytes) {
  const data = { external_type: type }
  // 7FFF: the probe is not connected.
  if (type === 1 && uint16(bytes, 7) !== 0x7fff) data.external_temperature_c = int16(bytes, 7) / 100
  if (type === 5) data.external_illuminance_lux = uint16(bytes, 7)
  if (type === 6) data.external_voltage_v = uint16(bytes, 7) / 1000
  if (type === 7) data.external_count = uint16(bytes, 7)
  return data
}

function uint16(bytes, index) {
  return (bytes[index] << 8) | bytes[index + 1]
}

function int16(bytes, index) {
  return (uint16(bytes, index) << 16) >> 16
}

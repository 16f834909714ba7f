// Browan TBWL100: water leak, temperature and humidity.

function decodeUplink({ bytes }) {
  if (bytes.length !== 5) return { errors: [`expected 5 bytes, got ${bytes.length}`] }
  const [status, battery, board, humidity, environment] = bytes
  const data = {
    leak: (status & 0x01) !== 0,
    leak_event: (status & 0x10) !== 0,
    temperature_event: (status & 0x20) !== 0,
    humidity_event: (status & 0x40) !== 0,
    battery_v: (25 + (battery & 0x0f)) / 10,
    board_temperature_c: (board & 0x7f) - 32,
    temperature_c: (environment & 0x7f) - 32,
  }
  // 127: the humidity sensor failed.
  if ((humidity & 0x7f) === 127) return { data, warnings: ['the humidity sensor reports an error'] }
  return { data: { ...data, humidity_percent: humidity & 0x7f } }
}

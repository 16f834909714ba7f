// MClimate Vicki: radiator thermostat, keep-alive message. 01 is sent by firmware up to 3.4, 81 since 3.5.

function decodeUplink({ bytes }) {
  const [command, target, sensor, humidity, position, range, high, status, more] = bytes
  if (command !== 0x01 && command !== 0x81)
    return { errors: [`the message ${command} is not supported, only 1 and 129`] }
  if (bytes.length < 9) return { errors: [`expected 9 bytes, got ${bytes.length}`] }
  const data = {
    target_temperature_c: target,
    temperature_c: command === 0x01 ? (sensor * 165) / 256 - 40 : (sensor - 28.33333) / 5.66666,
    humidity_percent: (humidity * 100) / 256,
    motor_position: ((high >> 4) << 8) | position,
    motor_range: ((high & 0x0f) << 8) | range,
    battery_v: (20 + (status >> 4)) / 10,
    window_open: (status & 0x08) !== 0,
    high_motor_current: (status & 0x04) !== 0,
    low_motor_current: (status & 0x02) !== 0,
    child_lock: (more & 0x80) !== 0,
  }
  if ((status & 0x01) === 0) return { data }
  delete data.temperature_c
  return { data, warnings: ['the temperature sensor is broken'] }
}

// Digital Matter SensorNode: pairs of identifier and value. The port is the identifier of the first value.

const NAMES = { 40: 'internal_temperature_c', 41: 'probe_1_temperature_c', 42: 'probe_2_temperature_c' }

function decodeUplink({ bytes, fPort }) {
  const data = {}
  const pairs = [fPort, ...bytes]
  for (let index = 0; index < pairs.length; index += 3) {
    const name = NAMES[pairs[index]]
    if (name === undefined) return { errors: [`the identifier ${pairs[index]} is not supported`] }
    if (index + 2 >= pairs.length) return { errors: [`the value of the identifier ${pairs[index]} is incomplete`] }
    data[name] = (((pairs[index + 1] | (pairs[index + 2] << 8)) << 16) >> 16) / 100
  }
  return { data }
}

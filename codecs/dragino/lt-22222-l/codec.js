// Dragino LT-22222-L: I/O controller, mode 1 (two voltages, two currents, digital inputs and outputs).

function decodeUplink({ bytes }) {
  if (bytes.length !== 11) return { errors: [`expected 11 bytes, got ${bytes.length}`] }
  const mode = bytes[10] & 0x3f
  if (mode !== 1) return { errors: [`mode ${mode} is not supported, only mode 1`] }
  const word = (index) => (bytes[index] << 8) | bytes[index + 1]
  const bit = (index) => ((bytes[8] >> index) & 1) === 1
  return {
    data: {
      voltage_1_v: word(0) / 1000,
      voltage_2_v: word(2) / 1000,
      current_1_ma: word(4) / 1000,
      current_2_ma: word(6) / 1000,
      relay_1_closed: bit(7),
      relay_2_closed: bit(6),
      input_2_high: bit(4),
      input_1_high: bit(3),
      output_2: bit(1),
      output_1: bit(0),
    },
  }
}

/** A decoder in both languages, with a payload that it decodes. */
export interface DecoderPair {
  readonly name: string
  readonly payload: Uint8Array
  readonly cel: string
  readonly javaScript: string
}

/** Five values at fixed offsets of 11 bytes. */
export const FIXED_OFFSETS: DecoderPair = {
  name: '5 values at fixed offsets',
  payload: Uint8Array.from(Buffer.from('00ff8227950ce401010203', 'hex')),
  cel: `{"temperature": double(int16be(input, 0)) / 10.0, "humidity": double(uint8(input, 2)) / 2.0,
    "pressure": double(uint16be(input, 3)) / 10.0, "battery": uint16be(input, 5), "motion": bits(uint8(input, 7), 0, 1) == 1}`,
  javaScript: `function decodeUplink(input) {
    var b = input.bytes
    var t = b[0] << 8 | b[1]
    if (t > 32767) t -= 65536
    return { data: { temperature: t / 10, humidity: b[2] / 2, pressure: (b[3] << 8 | b[4]) / 10,
      battery: b[5] << 8 | b[6], motion: (b[7] & 1) === 1 } }
  }`,
}

/** Fields that follow their types, as in Elsys payloads. */
export const TYPED_FIELDS: DecoderPair = {
  name: 'a loop over typed fields',
  payload: Uint8Array.from(Buffer.from('0100ff0241070ce40402bc0501', 'hex')),
  cel: `[tlv(input, {"01": 2, "02": 1, "03": 3, "04": 2, "05": 1, "06": 2, "07": 2})].map(f, without_null({
    "temperature": "01" in f ? double(int16be(f["01"], 0)) / 10.0 : null, "humidity": "02" in f ? uint8(f["02"], 0) : null,
    "light": "04" in f ? uint16be(f["04"], 0) : null, "motion": "05" in f ? uint8(f["05"], 0) : null,
    "co2": "06" in f ? uint16be(f["06"], 0) : null, "battery_mv": "07" in f ? uint16be(f["07"], 0) : null}))[0]`,
  javaScript: `function decodeUplink(input) {
    var b = input.bytes, d = {}
    for (var i = 0; i < b.length;) {
      switch (b[i++]) {
        case 1: var t = b[i] << 8 | b[i + 1]; if (t > 32767) t -= 65536; d.temperature = t / 10; i += 2; break
        case 2: d.humidity = b[i++]; break
        case 3: i += 3; break
        case 4: d.light = b[i] << 8 | b[i + 1]; i += 2; break
        case 5: d.motion = b[i++]; break
        case 6: d.co2 = b[i] << 8 | b[i + 1]; i += 2; break
        case 7: d.battery_mv = b[i] << 8 | b[i + 1]; i += 2; break
        default: return { errors: ['unknown type'] }
      }
    }
    return { data: d }
  }`,
}

/** Cayenne LPP: on channel 0 a generic sensor that says this number, below 2^32. */
export function sensorPayload(number: number): Buffer {
  const payload = Buffer.from([0, 100, 0, 0, 0, 0])
  payload.writeUInt32BE(number, 2)
  return payload
}

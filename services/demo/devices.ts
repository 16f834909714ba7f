/** One value of a Cayenne LPP message: channel, type id, data (big-endian). */
type LppValue = readonly [channel: number, type: number, ...data: number[]]

const TYPE = { digitalInput: 0, temperature: 103, humidity: 104, barometer: 115, voltage: 116, gps: 136 } as const

/** A device of the demo: what it is called, how its bytes become JSON, and what it measures at a time of day. */
export interface DemoDevice {
  readonly name: string
  readonly payloadConversion: string
  /** `noise` is between −1 and 1. */
  readonly measure: (at: Date, noise: () => number) => Uint8Array
}

const i16 = (value: number): number[] => [(Math.round(value) >> 8) & 0xff, Math.round(value) & 0xff]
const i24 = (value: number): number[] => [(Math.round(value) >> 16) & 0xff, ...i16(value)]

const lpp = (...values: LppValue[]): Uint8Array => Uint8Array.from(values.flat())

/** −1 at four in the morning, 1 at four in the afternoon. */
function warmth(at: Date): number {
  const hours = at.getUTCHours() + at.getUTCMinutes() / 60
  return -Math.cos(((hours - 4) / 12) * Math.PI)
}

/** The van's round of about ten minutes. */
function round(at: Date): { latitude: number; longitude: number } {
  const angle = ((at.getTime() / 600_000) % 1) * 2 * Math.PI
  return { latitude: 49.4447 + 0.01 * Math.sin(angle), longitude: 7.7689 + 0.02 * Math.cos(angle) }
}

export const DEMO_DEVICES: readonly DemoDevice[] = [
  {
    name: 'Greenhouse',
    payloadConversion: 'cayenne_lpp_decode(input)',
    measure: (at, noise) =>
      lpp(
        [0, TYPE.temperature, ...i16((22 + 6 * warmth(at) + 0.5 * noise()) * 10)],
        [1, TYPE.humidity, Math.round((65 - 15 * warmth(at) + 2 * noise()) * 2)],
        [2, TYPE.barometer, ...i16((1013 + 3 * noise()) * 10)],
      ),
  },
  {
    name: 'Cold store',
    payloadConversion:
      '{"celsius": cayenne_lpp_decode(input).temperature_1, "door_open": cayenne_lpp_decode(input).digital_input_2 == 1, "battery_volts": cayenne_lpp_decode(input).voltage_3}',
    measure: (_at, noise) =>
      lpp(
        [1, TYPE.temperature, ...i16((-18 + 0.8 * noise()) * 10)],
        [2, TYPE.digitalInput, noise() > 0.9 ? 1 : 0],
        [3, TYPE.voltage, ...i16((3.6 + 0.05 * noise()) * 100)],
      ),
  },
  {
    name: 'Delivery van',
    payloadConversion: 'cayenne_lpp_decode(input)',
    measure: (at, noise) => {
      const { latitude, longitude } = round(at)
      return lpp([1, TYPE.gps, ...i24(latitude * 1e4), ...i24(longitude * 1e4), ...i24((236 + 2 * noise()) * 100)])
    },
  },
]

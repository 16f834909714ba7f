import { randomUUID } from 'node:crypto'

/** The application of the demo in its imagined ChirpStack. */
export const DEMO_APPLICATION_ID = '17c82e96-be03-4f38-aef3-f83d48582d97'

const F_PORT = 2

export interface DemoUplink {
  readonly devEui: string
  readonly deviceName: string
  readonly fCnt: number
  readonly payload: Uint8Array
  readonly at: Date
  /** Returns values between −1 and 1. */
  readonly noise: () => number
}

/** Returns the message that ChirpStack v4 publishes for an uplink. */
export function chirpStackMessage({ devEui, deviceName, fCnt, payload, at, noise }: DemoUplink) {
  const event = {
    deduplicationId: randomUUID(),
    time: at.toISOString(),
    deviceInfo: { applicationId: DEMO_APPLICATION_ID, applicationName: 'Demo', deviceName, devEui },
    devAddr: '00189440',
    dr: 5,
    fCnt,
    fPort: F_PORT,
    data: Buffer.from(payload).toString('base64'),
    rxInfo: [
      { gatewayId: '0016c001f153a14c', rssi: Math.round(-95 + 10 * noise()), snr: 7.5, crcStatus: 'CRC_OK' },
      { gatewayId: '0016c001f153a14d', rssi: Math.round(-110 + 5 * noise()), snr: -2, crcStatus: 'CRC_OK' },
    ],
    txInfo: {
      frequency: 868_100_000,
      modulation: { lora: { bandwidth: 125_000, spreadingFactor: 7, codeRate: 'CR_4_5' } },
    },
  }
  const topic = `application/${DEMO_APPLICATION_ID}/device/${devEui}/event/up`
  return { topic, body: Buffer.from(JSON.stringify(event)) }
}

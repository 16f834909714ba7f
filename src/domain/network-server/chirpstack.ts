import { z } from 'zod'
import { MappingError } from '../errors.ts'
import {
  bestOf,
  bytes,
  externalIdOf,
  frameCounter,
  list,
  number,
  parseUplink,
  port,
  present,
  text,
  timeOf,
  type NetworkUplink,
} from './uplink.ts'

const NAME = 'ChirpStack v4'

/** UplinkEvent of https://github.com/chirpstack/chirpstack, api/proto/integration/integration.proto, as JSON. */
const event = z.object({
  deduplicationId: text,
  time: text,
  deviceInfo: z.object({ devEui: text }).nullish(),
  dr: number,
  fCnt: frameCounter,
  fPort: port,
  data: bytes,
  rxInfo: list(z.object({ gatewayId: text, rssi: number, snr: number })),
  txInfo: z.object({ frequency: number, modulation: z.record(z.string(), z.json()).nullish() }).nullish(),
  /** Only in events of ChirpStack v3. */
  devEUI: z.unknown().optional(),
})

/** Decodes an `up` event of ChirpStack v4. Throws a MappingError. */
export function decodeChirpStackUplink(body: Uint8Array): NetworkUplink {
  const { deduplicationId, time, deviceInfo, dr, fCnt, fPort, data, rxInfo, txInfo, devEUI } = parseUplink(
    event,
    NAME,
    body,
  )
  const devEui = deviceInfo?.devEui ?? ''
  if (devEui === '') {
    const found = devEUI === undefined ? 'deviceInfo.devEui is missing' : 'it is an event of ChirpStack v3'
    throw new MappingError(`not an uplink of ${NAME}: ${found}`)
  }
  const best = bestOf(rxInfo)
  const metadata = present({
    ...(best === undefined ? {} : { rssi: best.rssi, snr: best.snr, gatewayId: best.gatewayId }),
    gatewayIds: rxInfo.map(({ gatewayId }) => gatewayId),
    dr,
    frequency: txInfo?.frequency,
    modulation: txInfo?.modulation ?? undefined,
  })
  return {
    externalId: externalIdOf('deviceInfo.devEui', devEui),
    payload: data,
    receivedAt: timeOf(time),
    uplinkId: deduplicationId === '' ? null : deduplicationId,
    uplink: { fPort, fCnt, metadata },
  }
}

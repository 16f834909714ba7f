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

const NAME = 'The Things Stack v3'

/** ApplicationUp of https://www.thethingsindustries.com/docs/integrations/data-formats/. */
const message = z.object({
  end_device_ids: z.object({ device_id: text, dev_eui: text }).nullish(),
  received_at: text,
  uplink_message: z
    .object({
      session_key_id: text,
      f_port: port,
      f_cnt: frameCounter,
      frm_payload: bytes,
      rx_metadata: list(z.object({ gateway_ids: z.object({ gateway_id: text }).nullish(), rssi: number, snr: number })),
      settings: z.object({ data_rate: z.record(z.string(), z.json()).nullish(), frequency: text }).nullish(),
      received_at: text,
    })
    .nullish(),
  /** Only in messages of The Things Network v2. */
  hardware_serial: z.unknown().optional(),
})

/** Decodes an `up` message of The Things Stack v3. Throws a MappingError. */
export function decodeTheThingsStackUplink(body: Uint8Array): NetworkUplink {
  const { end_device_ids: ids, received_at, uplink_message: up, hardware_serial } = parseUplink(message, NAME, body)
  if (hardware_serial !== undefined) throw new MappingError(`not an uplink of ${NAME}: it is a message of version 2`)
  if (!up) throw new MappingError(`not an uplink of ${NAME}: uplink_message is missing`)
  const id = ids?.dev_eui || ids?.device_id || ''
  if (id === '') throw new MappingError(`not an uplink of ${NAME}: end_device_ids has neither dev_eui nor device_id`)
  const externalId = externalIdOf('end_device_ids', id)
  const { f_port: fPort, f_cnt: fCnt, session_key_id: session } = up
  return {
    externalId,
    payload: up.frm_payload,
    receivedAt: timeOf(up.received_at) ?? timeOf(received_at),
    // Without a session the counter alone can repeat after a restart of the device.
    uplinkId: session === '' ? null : `${session} ${fCnt}`,
    uplink: { fPort, fCnt, metadata: metadataOf(up) },
  }
}

function metadataOf({ rx_metadata: receptions, settings }: NonNullable<z.output<typeof message>['uplink_message']>) {
  const best = bestOf(receptions)
  const gateways = receptions.map(({ gateway_ids: gateway }) => gateway?.gateway_id ?? '')
  return present({
    ...(best === undefined ? {} : { rssi: best.rssi, snr: best.snr, gateway_id: best.gateway_ids?.gateway_id }),
    gateway_ids: gateways,
    data_rate: settings?.data_rate ?? undefined,
    frequency: settings?.frequency,
  })
}

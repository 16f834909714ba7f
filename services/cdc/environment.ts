import { z } from 'zod'
import { streamsOf, type StreamDefinition } from '../../src/nats/streams.ts'
import {
  commonEnvironment,
  integer,
  natsEnvironment,
  postgresEnvironment,
  seconds,
  type Environment,
} from '../../src/runner/environment.ts'

export const cdcEnvironment = z.object({
  ...commonEnvironment,
  ...natsEnvironment,
  ...postgresEnvironment,
  PONIX_CDC_PUBLICATION_NAME: z.string().max(63, 'expected at most 63 characters').default('ponix_cdc_publication'),
  PONIX_CDC_SLOT_NAME: z
    .string()
    .regex(/^[a-z0-9_]{1,63}$/, 'expected up to 63 lower-case letters, digits and _')
    .default('ponix_cdc_slot'),
  /** The slot's position is confirmed after this many stored changes … */
  PONIX_CDC_BATCH_SIZE: integer(1, 1_000_000).prefault('100'),
  /** … or after this time. Neither delays an event. */
  PONIX_CDC_BATCH_TIMEOUT_MS: integer(1, 3_600_000).prefault('5000'),
  /** The maximum delay between two attempts to connect; the first delay is a twentieth of it, and each further delay doubles. */
  PONIX_CDC_RETRY_DELAY_MS: integer(1, 3_600_000).prefault('10000'),
  /** The number of consecutive failures without progress that are logged one by one; then one error is logged for the others. */
  PONIX_CDC_MAX_RETRY_ATTEMPTS: integer(0, 1_000_000).prefault('5'),
  /** The reaction to a row that cannot become an event: stall the flow, or store the row as a dead letter. */
  PONIX_CDC_ON_ERROR: z.enum(['stop', 'dead_letter'], { error: 'expected stop or dead_letter' }).default('stop'),
  /** `initial`: the rows that exist when the slot is created become `create` events first. */
  PONIX_CDC_SNAPSHOT: z.enum(['initial', 'never'], { error: 'expected initial or never' }).default('never'),
  /** The interval of heartbeats through the log while no change is captured; 0 means never. */
  PONIX_CDC_HEARTBEAT_SECS: seconds(0, 3600).prefault('30'),
  /** Logs a warning when the slot retains more WAL than this. */
  PONIX_CDC_RETAINED_WAL_WARN_MB: integer(1, 1_000_000_000).prefault('1024'),
})

export type CdcEnvironment = Environment<typeof cdcEnvironment>

export function cdcStreams(environment: CdcEnvironment): readonly StreamDefinition[] {
  return streamsOf(environment).flatMap((stream) => {
    if (stream.name === 'dead_letters') return [stream]
    if (stream.name !== environment.PONIX_NATS_GATEWAY_STREAM) return []
    return [
      stream,
      { ...stream, name: ENTITIES_STREAM, subjects: ['organization.>', 'end_device.>', 'device_profile.>'] },
    ]
  })
}

/** Events of organizations, end devices and device profiles. */
const ENTITIES_STREAM = 'entities'

/** Returns the stream of an entity's events, which also names the subject of its dead letters. */
export function streamOf(entity: string, environment: CdcEnvironment): string {
  return entity === 'gateway' ? environment.PONIX_NATS_GATEWAY_STREAM : ENTITIES_STREAM
}

import { z } from 'zod'
import {
  clickhouseEnvironment,
  commonEnvironment,
  integer,
  natsEnvironment,
  port,
  postgresEnvironment,
  url,
  type Environment,
} from '../../src/runner/environment.ts'

export const environment = z.object({
  ...commonEnvironment,
  ...clickhouseEnvironment,
  PONIX_NATS_URL: natsEnvironment.PONIX_NATS_URL,
  PONIX_POSTGRES_HOST: postgresEnvironment.PONIX_POSTGRES_HOST,
  PONIX_POSTGRES_PORT: postgresEnvironment.PONIX_POSTGRES_PORT,
  PONIX_GRPC_HOST: z.string().default('127.0.0.1'),
  PONIX_GRPC_PORT: port().prefault('50051'),
  /** The broker of the demo's devices and gateway. */
  PONIX_DEMO_MQTT_URL: url('mqtt').default('mqtt://localhost:1883'),
  /** Time between two messages of one device. */
  PONIX_DEMO_INTERVAL_MS: integer(10, 3_600_000).prefault('1000'),
})

export type DemoEnvironment = Environment<typeof environment>

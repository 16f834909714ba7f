import { setMaxListeners } from 'node:events'
import { register, type Registry } from 'prom-client'
import type { ClickHouse } from '../../src/clickhouse/connection.ts'
import { createEnvelopeReader } from '../../src/clickhouse/envelope-reader.ts'
import { ConversionTestService } from '../../src/domain/codecs/conversion-test-service.ts'
import { DeviceProfileService } from '../../src/domain/codecs/device-profile-service.ts'
import { EndDeviceService, GatewayService, OrganizationService } from '../../src/domain/entity-services.ts'
import { createIdGenerator } from '../../src/domain/ids.ts'
import type { CodecRunner, PayloadConversionChecker } from '../../src/domain/ports.ts'
import { TelemetryService } from '../../src/domain/telemetry-service.ts'
import type { PostgresDatabase } from '../../src/postgres/database.ts'
import { PostgresDeviceProfileRepository } from '../../src/postgres/device-profile-repository.ts'
import { PostgresEndDeviceRepository } from '../../src/postgres/end-device-repository.ts'
import { PostgresGatewayConnectionStore } from '../../src/postgres/gateway-connection-store.ts'
import { PostgresGatewayRepository } from '../../src/postgres/gateway-repository.ts'
import { PostgresOrganizationRepository } from '../../src/postgres/organization-repository.ts'
import { Health } from '../../src/proto/gen/grpc/health/v1/health_pb.ts'
import { TelemetryService as Telemetry } from '../../src/proto/gen/ponix/analytics/v1/telemetry_pb.ts'
import { DeviceProfileService as DeviceProfiles } from '../../src/proto/gen/ponix/device_profile/v1/device_profile_pb.ts'
import { EndDeviceService as EndDevices } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { GatewayService as Gateways } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationService as Organizations } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import type { AppProcess } from '../../src/runner/lifecycle.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { conversionTestRoute } from './conversion-test-routes.ts'
import { CsvExports } from './csv-exports.ts'
import { deviceProfileRoutes } from './device-profile-routes.ts'
import { GrpcServer, type GrpcServerOptions } from './grpc-server.ts'
import { HealthMonitor, healthRoutes } from './health.ts'
import { createObserver, observePool } from './observer.ts'
import { reflectionRoutes } from './reflection.ts'
import { endDeviceRoutes, gatewayRoutes, organizationRoutes, telemetryRoutes } from './routes.ts'

export interface ApiParts {
  readonly database: PostgresDatabase
  /** ClickHouse, which can be unavailable: only telemetry needs it. */
  readonly clickhouse: ClickHouse
  readonly logger: Logger
  readonly payloadConversions: PayloadConversionChecker
  readonly codecs: CodecRunner
  /** Default: prom-client's global registry, which the service serves. */
  readonly registry?: Registry
}

export interface Api {
  /** The processes to run with the server: `csv` drains exports at the end, `health` updates the health of the services. */
  readonly processes: Readonly<Record<'csv' | 'health', AppProcess>>
  /** Handles requests of the service's HTTP server. */
  readonly csvExports: CsvExports
  /** Creates a server for this address; it does not listen yet. */
  serve(host: string, port: number, options?: Pick<GrpcServerOptions, 'drainMs'>): GrpcServer
}

/** Connects the layers: routes, domain services, repositories, database. */
export function createApi(parts: ApiParts): Api {
  const { database, clickhouse, codecs, logger, payloadConversions, registry = register } = parts
  const newId = createIdGenerator()
  const streams = new AbortController()
  // Every open stream adds a listener; Node would warn about a leak.
  setMaxListeners(0, streams.signal)
  const services = [Organizations, EndDevices, DeviceProfiles, Gateways]
  const health = new HealthMonitor((signal) => database.ping(signal))
  const telemetryHealth = new HealthMonitor(async (signal) => {
    await Promise.all([database.ping(signal), clickhouse.ping(signal)])
  })
  const monitors = new Map([
    ['', health],
    ...services.map(({ typeName }) => [typeName, health] as const),
    [Telemetry.typeName, telemetryHealth],
  ])
  observePool(() => database.usage, registry)
  const organizations = new PostgresOrganizationRepository(database)
  const endDevices = new PostgresEndDeviceRepository(database)
  const profiles = new PostgresDeviceProfileRepository(database)
  const gateways = new PostgresGatewayRepository(database)
  const telemetry = new TelemetryService({ organizations, endDevices, telemetry: createEnvelopeReader(clickhouse) })
  const routes = [
    ...organizationRoutes(new OrganizationService(organizations, newId)),
    ...endDeviceRoutes(new EndDeviceService(endDevices, newId, payloadConversions, profiles)),
    conversionTestRoute(
      new ConversionTestService({
        organizations,
        endDevices,
        profiles,
        conversions: payloadConversions,
        runner: codecs,
      }),
    ),
    ...deviceProfileRoutes(new DeviceProfileService(profiles, newId, payloadConversions, codecs)),
    ...gatewayRoutes(new GatewayService(gateways, newId), new PostgresGatewayConnectionStore(database)),
    ...telemetryRoutes(telemetry),
    ...healthRoutes(monitors, streams.signal),
    ...reflectionRoutes([...services, Telemetry, Health], streams.signal),
  ]
  const observe = createObserver(logger, registry)
  const csvExports = new CsvExports({ telemetry, observe })
  return {
    processes: {
      csv: (signal) => csvExports.run(signal),
      health: async (signal) => void (await Promise.all([health.run(signal), telemetryHealth.run(signal)])),
    },
    csvExports,
    serve: (host, port, options) => new GrpcServer({ host, port, routes, streams, observe, ...options }),
  }
}

import { Client as GrpcJsClient, credentials, type status as Status, type ServiceError } from '@grpc/grpc-js'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, inject } from 'vitest'
import { createApi, type Api } from '../../../services/api/api.ts'
import { createPayloadConversionChecker } from '../../../src/codecs/cel/static-check.ts'
import { PoolCodecRunner } from '../../../src/codecs/pool/codec-runner.ts'
import { openClickHouse, type ClickHouseOptions } from '../../../src/clickhouse/connection.ts'
import { PostgresDatabase } from '../../../src/postgres/database.ts'
import { TestSchema, type TestServer } from '../adapters/test-schema.ts'
import { EndDeviceService } from '../../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { GatewayService } from '../../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationService } from '../../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { GrpcClient } from '../../../src/proto/grpc.ts'
import { evaluationWorkerUrl } from '../program.ts'

const { createOrganization } = OrganizationService.method
const { createEndDevice } = EndDeviceService.method
const { createGateway } = GatewayService.method

interface ApiRig {
  readonly schema: TestSchema
  readonly api: TestApi
  /** Creates an organization through the api and resolves to its id; the next two functions likewise. */
  readonly newOrganization: (name?: string) => Promise<string>
  readonly newDevice: (organizationId: string) => Promise<string>
  readonly newGateway: (organizationId: string, gatewayConfig?: string) => Promise<string>
}

/** Registers hooks: one api on one PostgreSQL schema for a test file, available from its `beforeAll` on. */
export function apiForAll(): ApiRig {
  let schema: TestSchema
  let api: TestApi
  beforeAll(async () => {
    schema = await TestSchema.create(inject('postgres'))
    api = await TestApi.start(schema.options)
  })
  afterAll(async () => {
    await api[Symbol.asyncDispose]()
    await schema[Symbol.asyncDispose]()
  })
  return {
    get schema() {
      return schema
    },
    get api() {
      return api
    },
    newOrganization: async (name = 'Acme') => {
      const { organization } = await api.client.call(createOrganization, { name })
      return organization?.id ?? ''
    },
    newDevice: async (organizationId) => {
      const { endDevice } = await api.client.call(createEndDevice, { organizationId, name: 'Sensor' })
      return endDevice?.deviceId ?? ''
    },
    newGateway: async (organizationId, gatewayConfig = '') => {
      const { gateway } = await api.client.call(createGateway, { organizationId, gatewayType: 'print', gatewayConfig })
      return gateway?.gatewayId ?? ''
    },
  }
}

export interface TestApiOptions {
  readonly drainMs?: number
  /** By default an address at which no server listens. */
  readonly clickhouse?: ClickHouseOptions
}

const NO_CLICKHOUSE = {
  url: 'http://127.0.0.1:1',
  database: 'none',
  username: 'none',
  password: 'none',
  name: 'test',
  startupTimeoutMs: 1000,
}

export type LogLine = Readonly<Record<string, unknown>>

/** The whole api in this process on a real database, reached through a real socket. */
export class TestApi implements AsyncDisposable {
  readonly address: string
  readonly client: GrpcClient
  readonly channel: GrpcJsClient
  readonly api: Api
  readonly database: PostgresDatabase
  readonly registry: Registry
  readonly log: readonly LogLine[]
  readonly #stop: () => Promise<void>

  private constructor(
    parts: Omit<TestApi, 'client' | 'channel' | 'stop' | typeof Symbol.asyncDispose>,
    stop: () => Promise<void>,
  ) {
    this.address = parts.address
    this.api = parts.api
    this.database = parts.database
    this.registry = parts.registry
    this.log = parts.log
    this.#stop = stop
    this.client = new GrpcClient(this.address)
    this.channel = new GrpcJsClient(this.address, credentials.createInsecure())
  }

  static async start(server: TestServer, options: TestApiOptions = {}): Promise<TestApi> {
    const { drainMs } = options
    const log: LogLine[] = []
    const logger = pino({ base: null, level: 'debug' }, { write: (line: string) => void log.push(JSON.parse(line)) })
    const database = new PostgresDatabase({
      ...server,
      applicationName: server.database,
      startupTimeoutMs: 10_000,
      logger,
    })
    const registry = new Registry()
    const clickhouse = openClickHouse(options.clickhouse ?? { ...NO_CLICKHOUSE, logger })
    const codecs = new PoolCodecRunner({ workerUrl: evaluationWorkerUrl })
    const api = createApi({
      database,
      clickhouse,
      codecs,
      logger,
      registry,
      payloadConversions: createPayloadConversionChecker(),
    })
    const grpc = api.serve('127.0.0.1', 0, drainMs === undefined ? {} : { drainMs })
    const address = await grpc.listen()
    const stop = new AbortController()
    const running = Promise.all([grpc.run(stop.signal), ...Object.values(api.processes).map((run) => run(stop.signal))])
    return new TestApi({ address, api, database, registry, log }, async () => {
      stop.abort()
      await running
      await codecs.close()
      await clickhouse.close()
    })
  }

  /** Stops the api as SIGTERM does; resolves when everything has ended. */
  async stop(): Promise<void> {
    await this.#stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close()
    this.channel.close()
    await this.stop()
    await this.database.close()
  }
}

/** Returns the status of a call that is expected to fail. */
export async function refusal(call: Promise<unknown>): Promise<{ readonly code: Status; readonly details: string }> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isServiceError(error)) throw new Error('the call did not fail', { cause: error })
  return { code: error.code, details: error.details }
}

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error
}

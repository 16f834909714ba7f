import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type Server } from 'node:http'
import { afterAll, afterEach, beforeAll, beforeEach, inject } from 'vitest'
import { createTestDatabase, type TestDatabase } from './clickhouse.ts'
import type { ClickHouseOptions } from '../../../src/clickhouse/connection.ts'
import { createEnvelopeWriter } from '../../../src/clickhouse/envelope-writer.ts'
import type { JsonObject, ProcessedEnvelope } from '../../../src/domain/entities.ts'
import { TestSchema } from './test-schema.ts'
import { EndDeviceService } from '../../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { OrganizationService } from '../../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { TestApi } from '../services/api.ts'
import { startClickHouse } from '../servers.ts'

type RunningClickHouse = Awaited<ReturnType<typeof startClickHouse>>

/** Registers hooks: one ClickHouse and one PostgreSQL schema per test file, and a new api for each test. */
export function telemetryForEach(): { readonly telemetry: TestTelemetry; readonly clickhouse: RunningClickHouse } {
  let clickhouse: RunningClickHouse
  let schema: TestSchema
  let telemetry: TestTelemetry
  beforeAll(async () => {
    clickhouse = await startClickHouse()
    schema = await TestSchema.create(inject('postgres'))
  })
  afterAll(async () => {
    await schema[Symbol.asyncDispose]()
    await clickhouse[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    telemetry = await TestTelemetry.start(schema, clickhouse)
  })
  afterEach(() => telemetry[Symbol.asyncDispose]())
  return {
    get telemetry() {
      return telemetry
    },
    get clickhouse() {
      return clickhouse
    },
  }
}

/** Time of the first envelope of a test, in microseconds. */
export const START = BigInt(Date.UTC(2026, 0, 2, 3, 4, 5)) * 1000n

/** The whole api with both stores, an HTTP server, an organization and a device. */
export class TestTelemetry implements AsyncDisposable {
  readonly api: TestApi
  readonly organizationId: string
  readonly deviceId: string
  readonly #database: TestDatabase
  readonly #http: Server
  readonly #base: string

  private constructor(api: TestApi, database: TestDatabase, http: Server, ids: readonly [string, string]) {
    const address = http.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    this.api = api
    this.#database = database
    this.#http = http
    this.#base = `http://127.0.0.1:${address.port}`
    ;[this.organizationId, this.deviceId] = ids
  }

  static async start(
    schema: TestSchema,
    clickhouse: Pick<ClickHouseOptions, 'url' | 'username' | 'password'>,
  ): Promise<TestTelemetry> {
    const database = await createTestDatabase(clickhouse)
    await database.migrate()
    const api = await TestApi.start(schema.options, { clickhouse: database.options })
    const http = createServer((request, response) => {
      if (!api.api.csvExports.handle(request, response)) response.writeHead(404).end()
    }).listen(0, '127.0.0.1')
    await once(http, 'listening')
    const organizationId = await createOrganization(api)
    return new TestTelemetry(api, database, http, [organizationId, await createDevice(api, organizationId)])
  }

  createOrganization(): Promise<string> {
    return createOrganization(this.api)
  }

  createDevice(): Promise<string> {
    return createDevice(this.api, this.organizationId)
  }

  /** Writes one envelope per second, the first at START. */
  async write(device: string, data: readonly JsonObject[], more: Partial<ProcessedEnvelope> = {}): Promise<void> {
    const ids = { organizationId: this.organizationId, endDeviceId: device }
    const rows = data.map((one, n) => {
      const occurredAt = START + BigInt(n) * 1_000_000n
      const envelope = { ...ids, occurredAt, processedAt: occurredAt + 1n, data: one, ...more }
      return { envelope, envelopeId: `${device}:${n}` }
    })
    await createEnvelopeWriter(this.#database.clickhouse).write(rows, new AbortController().signal)
  }

  /** Inserts envelopes of 300 bytes for the device; a large count exceeds all buffers between ClickHouse and a client. */
  async fill(rows: number): Promise<void> {
    await this.#database.clickhouse.client.command({
      query: `INSERT INTO processed_envelope_rows (organization_id, end_device_id, occurred_at, data, identity)
        SELECT {organization:String}, {device:String}, toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + number,
          '{"n": 1.5, "text": "${'some text that takes its place'.repeat(10)}"}', toString(number)
        FROM numbers({rows:UInt64})`,
      query_params: { organization: this.organizationId, device: this.deviceId, rows },
    })
  }

  /** Replaces the table with a view whose queries never finish. */
  async makeEndless(): Promise<void> {
    await this.#database.clickhouse.client.command({ query: 'DROP TABLE processed_envelope_rows' })
    await this.#database.clickhouse.client.command({
      query: `CREATE VIEW processed_envelope_rows AS SELECT toString(max(cityHash64(number))) AS organization_id,
        '${this.deviceId}' AS end_device_id, now64(6, 'UTC') AS occurred_at, occurred_at AS processed_at, '' AS identity,
        '{}'::JSON AS data, NULL AS f_port, NULL AS f_cnt, data AS metadata, []::Array(String) AS warnings FROM numbers(1000000000000)`,
    })
  }

  /** Returns the running telemetry queries of ClickHouse. */
  runningQueries(): Promise<unknown[]> {
    return this.#database.rows(
      `SELECT query FROM system.processes
        WHERE query LIKE '%FROM processed_envelope_rows%' AND query NOT LIKE '%system.processes%'`,
    )
  }

  get httpPort(): number {
    return Number(new URL(this.#base).port)
  }

  /** Requests CSV; `path` is below /v1/organizations/. */
  csv(path: string): Promise<Response> {
    return fetch(`${this.#base}/v1/organizations/${path}`)
  }

  /** Returns the CSV response of the device, with an unread body. */
  async openCsv(parameters = ''): Promise<IncomingMessage> {
    const url = `${this.#base}/v1/organizations/${this.organizationId}/envelopes.csv?end_device_id=${this.deviceId}`
    const [response]: IncomingMessage[] = await once(get(`${url}${parameters}`), 'response')
    if (response === undefined) throw new Error('no response')
    return response
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.closeAllConnections()
    this.#http.close()
    await this.api[Symbol.asyncDispose]()
    await this.#database[Symbol.asyncDispose]()
  }
}

async function createOrganization(api: TestApi): Promise<string> {
  const { organization } = await api.client.call(OrganizationService.method.createOrganization, { name: 'Acme' })
  return organization?.id ?? ''
}

async function createDevice(api: TestApi, organizationId: string): Promise<string> {
  const request = { organizationId, name: 'Sensor' }
  const { endDevice } = await api.client.call(EndDeviceService.method.createEndDevice, request)
  return endDevice?.deviceId ?? ''
}

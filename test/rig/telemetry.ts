import { afterAll, afterEach, beforeAll, beforeEach, inject } from 'vitest'
import { TestTelemetry } from '../../services/api/test-telemetry.ts'
import { TestSchema } from '../../src/postgres/test-schema.ts'
import { startClickHouse } from './servers.ts'

type RunningClickHouse = Awaited<ReturnType<typeof startClickHouse>>

/** For a file of tests: one ClickHouse and one PostgreSQL schema for all of it, and all else anew for each test. */
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

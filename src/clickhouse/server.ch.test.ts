import { once } from 'node:events'
import { createClient, ClickHouseError } from '@clickhouse/client'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../test/rig/adapters/clickhouse.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase(inject('clickhouse'))
  await database.clickhouse.client.command({
    query: 'CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a',
  })
})
afterAll(() => database[Symbol.asyncDispose]())

/** The driver requires this behaviour of any server, including the embedded one. */
describe('E-2: the driver', () => {
  test('pings with and without a query', async () => {
    const { client } = database.clickhouse
    expect(await client.ping()).toEqual({ success: true })
    expect(await client.ping({ select: true })).toEqual({ success: true })
  })

  test('inserts and selects rows with parameters, even as a multipart form', async () => {
    const { client } = database.clickhouse
    const values = Array.from({ length: 20_000 }, (_, a) => ({ a, s: `row ${a}` }))
    const inserted = await client.insert({ table: 't', values, format: 'JSONEachRow' })
    expect(inserted.summary?.written_rows).toBe('20000')
    const wanted = values.map(({ a }) => a)
    for (const use_multipart_params of [false, true]) {
      const some = use_multipart_params ? wanted : wanted.slice(0, 100)
      const result = await client.query({
        query: 'SELECT count() AS n FROM t WHERE a IN {wanted:Array(UInt64)} AND s LIKE {like:String}',
        query_params: { wanted: some, like: 'row %' },
        format: 'JSONEachRow',
        use_multipart_params,
      })
      expect(await result.json()).toEqual([{ n: String(some.length) }])
    }
  })

  test('compresses in both directions', async () => {
    const { url, username, password, database: name } = database.options
    const client = createClient({
      url,
      username,
      password,
      database: name,
      compression: { request: true, response: true },
    })
    await client.command({ query: 'CREATE TABLE z (a UInt64) ENGINE = Memory' })
    await client.insert({ table: 'z', values: Array.from({ length: 1000 }, (_, a) => ({ a })), format: 'JSONEachRow' })
    for (const format of ['JSONEachRow', 'JSONCompactEachRow', 'JSON'] as const) {
      const result = await client.query({ query: 'SELECT a FROM z ORDER BY a', format })
      const text = await result.text()
      expect(text).toContain('999')
    }
    await client.close()
  })

  test('streams rows until the client stops reading', async () => {
    const { client } = database.clickhouse
    const result = await client.query({ query: 'SELECT number FROM numbers(100000000)', format: 'JSONEachRow' })
    let rows = 0
    for await (const chunk of result.stream()) {
      rows += chunk.length
      if (rows > 1000) break
    }
    expect(rows).toBeGreaterThan(1000)
    expect(await client.ping({ select: true })).toEqual({ success: true })
  })

  test('reports exceptions with code and name before and within a result', async () => {
    const { client } = database.clickhouse
    const unknown = await client.query({ query: 'SELECT * FROM nope' }).catch((error: unknown) => error)
    expect(unknown).toBeInstanceOf(ClickHouseError)
    expect(unknown).toMatchObject({ code: '60', type: 'UNKNOWN_TABLE' })
    const result = await client.query({
      query: 'SELECT throwIf(number = 300000) AS x FROM numbers(1000000)',
      format: 'JSONEachRow',
      clickhouse_settings: { max_block_size: '1000' },
    })
    const late = await result.json().catch((error: unknown) => error)
    expect(late).toMatchObject({ code: '395', type: 'FUNCTION_THROW_IF_VALUE_IS_NON_ZERO' })
  })

  test('keeps a temporary table in a session', async () => {
    const { client } = database.clickhouse
    const session_id = `driver-${process.pid}`
    await client.command({ query: 'CREATE TEMPORARY TABLE mine (a UInt8)', session_id })
    await client.insert({ table: 'mine', values: [{ a: 7 }], format: 'JSONEachRow', session_id })
    const result = await client.query({ query: 'SELECT a FROM mine', format: 'JSONEachRow', session_id })
    expect(await result.json()).toEqual([{ a: 7 }])
  })

  test('cancels an aborted query on the server', async () => {
    const { client } = database.clickhouse
    const controller = new AbortController()
    const query = 'SELECT sum(cityHash64(number)) FROM numbers(1000000000000)'
    const running = client.query({ query, abort_signal: controller.signal }).catch((error: unknown) => error)
    const listed = async (): Promise<unknown> =>
      database.rows(`SELECT count() AS n FROM system.processes WHERE query LIKE 'SELECT sum(cityHash64(%'`)
    await expect.poll(listed, { interval: 20 }).toEqual([{ n: '1' }])
    controller.abort()
    expect(await running).toBeInstanceOf(Error)
    await expect.poll(listed, { interval: 20, timeout: 5000 }).toEqual([{ n: '0' }])
  })

  test('returns raw bytes from exec', async () => {
    const { stream } = await database.clickhouse.client.exec({ query: "SELECT 'x' FORMAT RowBinary" })
    const [chunk] = await once(stream, 'data')
    expect(chunk).toEqual(Buffer.from([1, 120]))
  })
})

import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { GatewayConnectionReport } from '../domain/gateway-connection.ts'
import { TestSchema } from '../../test/rig/adapters/test-schema.ts'
import { connectPostgres, type PostgresDatabase } from './database.ts'
import { PostgresGatewayConnectionStore } from './gateway-connection-store.ts'

let schema: TestSchema
let database: PostgresDatabase
let store: PostgresGatewayConnectionStore

beforeAll(async () => {
  schema = await TestSchema.create(inject('postgres'))
  database = await connectPostgres(schema.options)
  store = new PostgresGatewayConnectionStore(database)
})
afterAll(async () => {
  await database.close()
  await schema[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await schema.sql(
    'TRUNCATE organizations, end_devices, device_profiles, gateways, gateway_connections, gateway_instances',
  )
  await schema.sql(`INSERT INTO organizations (id) VALUES ('o1')`)
})

async function insert(...ids: readonly string[]): Promise<void> {
  const text = `INSERT INTO gateways (gateway_id, organization_id, gateway_type) SELECT id, 'o1', 'print' FROM unnest($1::text[]) id`
  await schema.sql(text, [ids])
}

function report(
  gatewayId: string,
  epoch: bigint,
  change: Partial<GatewayConnectionReport> = {},
): GatewayConnectionReport {
  const counts = { retries: 0, messages: 0, refused: 0 }
  return { gatewayId, epoch, state: 'running', lastError: null, stateAgeMs: 0, ageMs: 0, ...counts, ...change }
}

/** Returns the row versions, which change with each update. */
async function versions(table: string): Promise<readonly string[]> {
  return (await schema.sql(`SELECT xmin::text AS version FROM ${table} ORDER BY gateway_id`)).map(
    ({ version }) => version,
  )
}

async function statusOf(gatewayId: string): Promise<unknown> {
  const [row] = await schema.sql('SELECT status FROM gateways WHERE gateway_id = $1', [gatewayId])
  return row?.['status']
}

async function stateOf(gatewayId: string): Promise<unknown> {
  return (await store.read([gatewayId])).get(gatewayId)?.state
}

describe('G-14: the store of connections', () => {
  test('returns a report, and the status follows it', async () => {
    await insert('g1')
    await store.beat('one')
    expect(await statusOf('g1')).toBe('pending')
    expect(await store.read(['g1'])).toEqual(new Map())
    const [{ now } = { now: 0n }] = await schema.sql<{ now: bigint }>(
      'SELECT (extract(epoch FROM now()) * 1000000)::int8 AS now',
    )
    const counts = { retries: 4, messages: 2 ** 40, refused: 3 }
    const failing = { ...counts, lastError: 'no\0 broker', stateAgeMs: 1_000, ageMs: 60_000 }
    expect(await store.report('one', [report('g1', 1n, { state: 'failing', ...failing })])).toEqual(new Set())
    const connection = (await store.read(['g1', 'g2'])).get('g1')
    expect(connection).toMatchObject({ state: 'failing', lastError: 'no broker', instance: 'one', ...counts })
    expect(Number(connection?.since) - Number(connection?.startedAt)).toBeCloseTo(59_000_000, -3)
    expect(Number(connection?.since)).toBeGreaterThanOrEqual(Number(now) - 1_000_000)
    expect(await statusOf('g1')).toBe('error')
  })

  test('ignores a report with an earlier epoch, and says so', async () => {
    await insert('g1', 'g2')
    for (const instance of ['old', 'new']) await store.beat(instance)
    const [old, later] = [await store.nextEpoch(), await store.nextEpoch()]
    await store.report('new', [report('g1', later), report('g2', later)])
    const late = [report('g1', old, { state: 'failed' }), report('g2', later + 1n, { state: 'failing' })]
    expect(await store.report('old', late)).toEqual(new Set(['g1']))
    expect([await stateOf('g1'), await statusOf('g1')]).toEqual(['running', 'active'])
    expect([await stateOf('g2'), await statusOf('g2')]).toEqual(['failing', 'error'])
    await store.remove(new Map([['g1', old]]))
    expect(await stateOf('g1')).toBe('running')
    await store.remove(new Map([['g1', later]]))
    expect(await store.read(['g1'])).toEqual(new Map())
  })

  test('writes 10,000 reports in ten statements, and only the rows that change', async () => {
    const ids = Array.from({ length: 10_000 }, (_, number) => `g${String(number).padStart(5, '0')}`)
    await insert(...ids)
    const startedAtMs = performance.now()
    const reportAll = async (epoch: bigint, instance: string): Promise<void> => {
      for (let start = 0; start < ids.length; start += 1_000)
        await store.report(
          instance,
          ids
            .slice(start, start + 1_000)
            .map((id) => report(id, epoch, { stateAgeMs: performance.now() - startedAtMs })),
        )
    }
    await reportAll(1n, 'one')
    const [gateways, connections] = [await versions('gateways'), await versions('gateway_connections')]
    expect(new Set(gateways).size).toBe(10)
    await reportAll(1n, 'one')
    expect([await versions('gateways'), await versions('gateway_connections')]).toEqual([gateways, connections])
    await reportAll(2n, 'two')
    expect(await versions('gateways')).toEqual(gateways)
    expect(new Set(await versions('gateway_connections')).size).toBe(10)
  })

  test('concurrent reports and removals of the same gateways in different orders all succeed', async () => {
    const ids = Array.from({ length: 200 }, (_, number) => `g${number}`)
    await insert(...ids)
    const orders = Array.from({ length: 20 }, (_, number) => (number % 2 === 0 ? ids : ids.toReversed()))
    const calls = orders.flatMap((order, number) => [
      store.report(
        `i${number}`,
        order.map((id) => report(id, BigInt(number))),
      ),
      store.remove(new Map(order.map((id) => [id, BigInt(number)]))),
    ])
    const results = await Promise.allSettled(calls)
    expect(results.filter(({ status }) => status === 'rejected')).toEqual([])
  })

  test('returns unknown if the instance was not seen for half a minute or has left', async () => {
    await insert('g1')
    await store.beat('one')
    await store.report('one', [report('g1', 1n)])
    await schema.sql(`UPDATE gateway_instances SET seen_at = now() - interval '29 seconds'`)
    expect(await stateOf('g1')).toBe('running')
    await schema.sql(`UPDATE gateway_instances SET seen_at = now() - interval '31 seconds'`)
    expect(await stateOf('g1')).toBe('unknown')
    await store.beat('one')
    expect(await stateOf('g1')).toBe('running')
    await store.leave('one')
    expect((await store.read(['g1'])).get('g1')).toMatchObject({ state: 'unknown', since: null, instance: 'one' })
  })

  test('forgets dead instances after a day, and the connections of gateways that are deleted', async () => {
    await insert('g1', 'g2')
    await store.beat('dead')
    await schema.sql(`UPDATE gateway_instances SET seen_at = now() - interval '25 hours'`)
    await store.beat('one')
    expect(await schema.sql('SELECT instance FROM gateway_instances')).toEqual([{ instance: 'one' }])
    await store.report('one', [report('g1', 1n), report('g2', 1n), report('missing', 1n)])
    await schema.sql(`DELETE FROM gateways WHERE gateway_id = 'g1'`)
    await schema.sql(`UPDATE gateways SET deleted_at = now() WHERE gateway_id = 'g2'`)
    await store.report('one', [report('g2', 1n, { state: 'failed' })])
    expect([...(await store.read(['g1', 'g2', 'missing'])).keys()]).toEqual(['g2'])
    expect([await stateOf('g2'), await statusOf('g2')]).toEqual(['running', 'active'])
  })

  test('is not part of the publication', async () => {
    const published = await schema.sql('SELECT tablename FROM pg_publication_tables')
    expect(published.map(({ tablename }) => tablename)).toContain('gateways')
    for (const table of ['gateway_connections', 'gateway_instances'])
      expect(published.map(({ tablename }) => tablename)).not.toContain(table)
  })
})

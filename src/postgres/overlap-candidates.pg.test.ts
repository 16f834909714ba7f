import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { Gateway, JsonObject } from '../domain/entities.ts'
import { GATEWAY_CONFIG_KEYS } from '../domain/gateway-config.ts'
import { isSameBroker } from '../domain/gateway-topics/overlaps.ts'
import { subscriptionOf } from '../domain/gateway-topics/subscription.ts'
import { filtersOverlap } from '../domain/gateway-topics/topic-filter.ts'
import { createIdGenerator } from '../domain/ids.ts'
import type { OverlapCandidates } from '../domain/ports.ts'
import { TestSchema } from '../../test/rig/adapters/test-schema.ts'
import { connectPostgres, type PostgresDatabase } from './database.ts'
import { PostgresGatewayRepository } from './gateway-repository.ts'

const newId = createIdGenerator()
let schema: TestSchema
let database: PostgresDatabase
let gateways: PostgresGatewayRepository

beforeAll(async () => {
  schema = await TestSchema.create(inject('postgres'))
  database = await connectPostgres(schema.options)
  gateways = new PostgresGatewayRepository(database)
})

afterAll(async () => {
  await database.close()
  await schema[Symbol.asyncDispose]()
})

/** Creates an organization with gateways, as SQL does. */
async function organizationOf(rows: readonly (readonly [type: string, config: JsonObject])[]): Promise<string> {
  const organizationId = newId()
  await schema.sql('INSERT INTO organizations (id) VALUES ($1)', [organizationId])
  await schema.sql(
    `INSERT INTO gateways (gateway_id, organization_id, gateway_type, gateway_config)
     SELECT $1 || '-' || number, $1, row ->> 0, row -> 1 FROM jsonb_array_elements($2) WITH ORDINALITY AS rows (row, number)`,
    [organizationId, JSON.stringify(rows)],
  )
  return organizationId
}

/** Calls with the candidates that the check of a new gateway of the organization can read. */
async function withCandidates(organizationId: string, use: (candidates: OverlapCandidates) => Promise<void>) {
  const gateway = { gatewayId: newId(), organizationId, name: '', gatewayType: 'print', gatewayConfig: {} }
  await gateways.create(gateway, undefined, use)
}

async function all(pages: AsyncIterable<readonly Gateway[]>): Promise<readonly Gateway[]> {
  const found: Gateway[] = []
  for await (const page of pages) found.push(...page)
  return found
}

test('G-16: a check reads no gateways with another broker or topic, however many there are', async () => {
  const topics = Array.from({ length: 1200 }, (_, index) => ['mqtt', { host: 'b', topic: `site/${index}/+` }] as const)
  const brokers = Array.from({ length: 1200 }, (_, index) => ['mqtt', { host: `b${index}` }] as const)
  const organizationId = await organizationOf([...topics, ...brokers, ['print', {}]])
  await withCandidates(organizationId, async (candidates) => {
    const topicsOf = async (host: string, filter: string) =>
      (await all(candidates(host, filter))).map(({ gatewayConfig }) => gatewayConfig)
    expect(await topicsOf('b', 'site/7/+')).toEqual([{ host: 'b', topic: 'site/7/+' }])
    expect(await topicsOf('b', 'site/7/d1')).toEqual([{ host: 'b', topic: 'site/7/+' }])
    expect(await topicsOf('b7', `${organizationId}/d1`)).toEqual([{ host: 'b7' }])
    expect(await topicsOf('b', 'roof/+')).toEqual([])
    expect(await topicsOf('c', '#')).toEqual([])
    expect(await topicsOf('b', 'site/#')).toHaveLength(1200)
  })
})

const BROKERS: readonly JsonObject[] = [
  { host: 'b' },
  { host: 'B.' },
  { broker_url: 'mqtt://b' },
  { broker_url: 'MQTT://B.:1883/' },
  { broker_url: ' mqtt://b' },
  { broker_url: 'mqtt://%62' },
  { host: 'b', port: 1884 },
  { host: 'xn--bcher-kva.example' },
  { host: 'bücher.example' },
  { host: 'localhost' },
  { host: '127.0.0.1' },
  { host: '127.1' },
  { host: '127.0.0.0x1' },
  { host: '2130706433' },
  { host: '::1' },
  { broker_url: 'mqtt://[0::1]' },
  { host: '1e3.example' },
  { host: 'a_b' },
  { host: `${'long-'.repeat(60)}b` },
]
const LONG = 'long/'.repeat(60)
const WORD = 'x'.repeat(199)
const TOPICS =
  `# + a a/ /a a/+ a/# a/b a/b/# +/b $SYS/# $share/g/a/b a/ü/+ ab ${WORD}xx ${WORD}/+ ${WORD}/y ${LONG} ${LONG}a ${LONG}# long/+`
    .split(' ')
    .map((topic) => ({ topic }))

test('G-16: a check reads all gateways that may receive the same messages, however their brokers and topics are written', async () => {
  const rows = [
    ...BROKERS.map((broker) => ['mqtt', broker] as const),
    ...TOPICS.map((topic) => ['EMQX', { host: 'b', ...topic }] as const),
    ...[{}, { application_id: 'a1' }].flatMap((application) =>
      Object.keys(GATEWAY_CONFIG_KEYS).map((type) => [type, { host: 'b', ...application }] as const),
    ),
    ['mqtt', { host: 'b', topic: 'v3/a1/#' }] as const,
    ['mqtt', { host: 7, topic: [] }] as const,
  ]
  const organizationId = await organizationOf(rows)
  const { items } = await gateways.list(organizationId, { size: 500, after: null })
  expect(items).toHaveLength(rows.length)
  let pairs = 0
  for (const own of items.flatMap((gateway) => subscriptionOf(gateway) ?? [])) {
    const same = items.filter((other) => {
      const its = subscriptionOf(other)
      return its !== null && isSameBroker(own, its) && filtersOverlap(own.topicFilter, its.topicFilter)
    })
    pairs += same.length
    await withCandidates(organizationId, async (candidates) => {
      const found = (await all(candidates(own.host, own.topicFilter))).map(({ gatewayId }) => gatewayId)
      expect(found).toEqual(expect.arrayContaining(same.map(({ gatewayId }) => gatewayId)))
    })
  }
  expect(pairs).toBeGreaterThan(100)
})

test('G-16: a plain query finds candidates by the index', async () => {
  const organizationId = await organizationOf(
    Array.from({ length: 1200 }, (_, index) => ['mqtt', { host: 'b', topic: `site/${index}` }]),
  )
  await schema.sql('ANALYZE gateways')
  const usage = async () => {
    await schema.sql('SELECT pg_stat_force_next_flush()')
    const [row] = await schema.sql<{ scans: number }>(
      `SELECT idx_scan::int AS scans FROM pg_stat_user_indexes WHERE indexrelname = 'gateways_overlaps'`,
    )
    return row?.scans ?? 0
  }
  const before = await usage()
  await withCandidates(organizationId, async (candidates) => {
    expect(await all(candidates('b', 'site/7'))).toHaveLength(1)
  })
  await expect.poll(usage).toBeGreaterThan(before)
})

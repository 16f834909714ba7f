import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { DomainErrorCode } from '../domain/errors.ts'
import { createIdGenerator } from '../domain/ids.ts'
import { connectPostgres, type PostgresDatabase } from './database.ts'
import { PostgresEndDeviceRepository } from './end-device-repository.ts'
import { PostgresGatewayRepository } from './gateway-repository.ts'
import { PostgresOrganizationRepository } from './organization-repository.ts'
import { parseLsn } from './replication/change.ts'
import { TestSchema } from '../../test/rig/adapters/test-schema.ts'

const newId = createIdGenerator()
let schema: TestSchema
let database: PostgresDatabase
let organizations: PostgresOrganizationRepository
let endDevices: PostgresEndDeviceRepository
let gateways: PostgresGatewayRepository

beforeAll(async () => {
  schema = await TestSchema.create(inject('postgres'))
  database = await connectPostgres(schema.options)
  organizations = new PostgresOrganizationRepository(database)
  endDevices = new PostgresEndDeviceRepository(database)
  gateways = new PostgresGatewayRepository(database)
})

afterAll(async () => {
  await database.close()
  await schema[Symbol.asyncDispose]()
})

async function newOrganization(): Promise<string> {
  const { id } = await organizations.create({ id: newId(), name: 'Acme', status: 'active' })
  return id
}

function deviceOf(organizationId: string, deviceId = newId()) {
  return { deviceId, organizationId, name: 'Sensor', payloadConversion: '', externalId: '', profileId: '' }
}

function gatewayOf(organizationId: string, gatewayId = newId()) {
  return { gatewayId, organizationId, name: '', gatewayType: 'EMQX', gatewayConfig: {} }
}

function refusal(code: DomainErrorCode, message: string) {
  return expect.objectContaining({ name: 'DomainError', code, message })
}

test('A-6 an update changes only the given fields and always increases updated_at', async () => {
  const organizationId = await newOrganization()
  const created = await gateways.create({ ...gatewayOf(organizationId), name: 'G', gatewayConfig: { a: [1.5, 'ü'] } })
  expect(created.updatedAt).toBe(created.createdAt)
  const renamed = await gateways.update(created.gatewayId, { name: '' })
  expect(renamed).toEqual({ ...created, name: '', updatedAt: renamed?.updatedAt })
  expect(renamed?.updatedAt).toBeGreaterThan(created.updatedAt)
  const reconfigured = await gateways.update(created.gatewayId, { gatewayConfig: {} })
  expect(reconfigured).toMatchObject({ name: '', gatewayConfig: {}, status: 'pending', gatewayType: 'EMQX' })
  const untouched = await gateways.update(created.gatewayId, {})
  expect(untouched?.updatedAt).toBeGreaterThan(reconfigured?.updatedAt ?? 0n)
})

test('A-6 updated_at increases even when it is in the future', async () => {
  const id = await newOrganization()
  await schema.sql("UPDATE organizations SET updated_at = '2990-01-01 00:00:00.123456Z' WHERE id = $1", [id])
  const updated = await organizations.update(id, { name: 'x' })
  expect(updated?.updatedAt).toBe(BigInt(Date.UTC(2990, 0, 1)) * 1000n + 123_457n)
})

test('W-4 times keep their microseconds and configs keep their JSON', async () => {
  const organizationId = await newOrganization()
  const config = { host: 'h', nested: { list: [null, true, -0.25, 1e21, '\u{1f600}"\\'] }, __proto: 1 }
  const { gatewayId } = await gateways.create({ ...gatewayOf(organizationId), gatewayConfig: config })
  await schema.sql("UPDATE gateways SET created_at = '2026-01-02 03:04:05.123456+05:30' WHERE gateway_id = $1", [
    gatewayId,
  ])
  const found = await gateways.get(gatewayId)
  expect(found?.createdAt).toBe(BigInt(Date.UTC(2026, 0, 1, 21, 34, 5)) * 1000n + 123_456n)
  expect(found?.gatewayConfig).toEqual(config)
})

test('A-5 a list is sorted newest first, and its pages contain each row once while rows are created', async () => {
  const organizationId = await newOrganization()
  const ids = [newId(), newId(), newId(), newId(), newId()]
  for (const id of ids) await endDevices.create(deviceOf(organizationId, id))
  // Rows with the same time are ordered by their id.
  await schema.sql("UPDATE end_devices SET created_at = '2026-01-01Z' WHERE organization_id = $1", [organizationId])
  const first = await endDevices.list(organizationId, { size: 2, after: null })
  await endDevices.create(deviceOf(organizationId))
  const second = await endDevices.list(organizationId, { size: 2, after: first.next })
  const third = await endDevices.list(organizationId, { size: 2, after: second.next })
  const listed = [...first.items, ...second.items, ...third.items].map((device) => device.deviceId)
  expect(listed).toEqual(ids.toReversed())
  expect(third.next).toBeNull()
})

test('A-5 the last page has no cursor, and an unknown organization has an empty list', async () => {
  const organizationId = await newOrganization()
  await gateways.create(gatewayOf(organizationId))
  await gateways.create(gatewayOf(organizationId))
  expect(await gateways.list(organizationId, { size: 2, after: null })).toMatchObject({ next: null })
  expect(await gateways.list('nobody', { size: 2, after: null })).toEqual({ items: [], next: null })
})

test('A-6 deleted organizations and gateways are hidden from every call but keep their rows; devices are deleted permanently', async () => {
  const organizationId = await newOrganization()
  const { gatewayId } = await gateways.create(gatewayOf(organizationId))
  const { deviceId } = await endDevices.create(deviceOf(organizationId))
  expect((await gateways.delete(gatewayId))?.deletedAt).not.toBeNull()
  expect(await endDevices.delete(deviceId)).not.toBeNull()
  expect((await organizations.delete(organizationId))?.deletedAt).not.toBeNull()
  for (const gone of [
    gateways.get(gatewayId),
    gateways.update(gatewayId, { name: 'x' }),
    gateways.delete(gatewayId),
    endDevices.get(deviceId),
    endDevices.update(deviceId, { name: 'x' }),
    endDevices.delete(deviceId),
    organizations.get(organizationId),
    organizations.update(organizationId, { name: 'x' }),
    organizations.delete(organizationId),
  ]) {
    expect(await gone).toBeNull()
  }
  const page = await organizations.list({ size: 500, after: null })
  expect(page.items.map((organization) => organization.id)).not.toContain(organizationId)
  expect(await gateways.list(organizationId, { size: 9, after: null })).toEqual({ items: [], next: null })
  const rows = await schema.sql('SELECT id FROM organizations WHERE id = $1', [organizationId])
  expect(rows).toHaveLength(1)
})

test('A-4 nothing is created in an organization that is missing or deleted', async () => {
  const deleted = await newOrganization()
  await organizations.delete(deleted)
  for (const id of [deleted, 'nobody']) {
    const missing = refusal('not_found', `Organization not found: ${id}`)
    await expect(endDevices.create(deviceOf(id))).rejects.toEqual(missing)
    await expect(gateways.create(gatewayOf(id))).rejects.toEqual(missing)
  }
})

test('A-4 a taken id is rejected with already_exists', async () => {
  const id = await newOrganization()
  await expect(organizations.create({ id, name: 'x', status: 'active' })).rejects.toEqual(
    refusal('already_exists', `Organization already exists: ${id}`),
  )
  await endDevices.create(deviceOf(id, `${id}-d`))
  await expect(endDevices.create(deviceOf(id, `${id}-d`))).rejects.toEqual(
    refusal('already_exists', `End device already exists: ${id}-d`),
  )
})

test('A-4 an external id is unique in its organization, and finds its device', async () => {
  const [one, two] = [await newOrganization(), await newOrganization()]
  const device = await endDevices.create({ ...deviceOf(one), externalId: '70b3d57ed0000001' })
  const { deviceId } = await endDevices.create(deviceOf(one))
  await endDevices.create(deviceOf(one))
  await endDevices.create({ ...deviceOf(two), externalId: '70b3d57ed0000001' })
  const taken = refusal('already_exists', 'End device already exists: external_id 70b3d57ed0000001')
  await expect(endDevices.create({ ...deviceOf(one), externalId: '70b3d57ed0000001' })).rejects.toEqual(taken)
  await expect(endDevices.update(deviceId, { externalId: '70b3d57ed0000001' })).rejects.toEqual(taken)
  expect(await endDevices.findByExternalId(one, '70b3d57ed0000001')).toEqual(device)
  expect(await endDevices.findByExternalId(one, '70b3d57ed0000002')).toBeNull()
  expect(await endDevices.findByExternalId(one, '')).toBeNull()
  await endDevices.update(device.deviceId, { externalId: '' })
  expect(await endDevices.findByExternalId(one, '70b3d57ed0000001')).toBeNull()
})

test.each([
  ['a device', (id: string) => endDevices.create(deviceOf(id))],
  ['a gateway', (id: string) => gateways.create(gatewayOf(id))],
])('A-6 an organization that still has %s is not deleted', async (_kind, create) => {
  const id = await newOrganization()
  await create(id)
  const message = `Organization ${id} still has gateways, end devices or device profiles; delete them first`
  await expect(organizations.delete(id)).rejects.toEqual(refusal('failed_precondition', message))
  expect(await organizations.get(id)).not.toBeNull()
})

test('A-6 a deletion waits for a concurrent creation and then sees the created row', async () => {
  const id = await newOrganization()
  const deletion = await schema.transaction(async (client) => {
    await client.query('SELECT FROM organizations WHERE id = $1 FOR SHARE', [id])
    await client.query("INSERT INTO end_devices (device_id, organization_id, name) VALUES ($1, $2, 'x')", [newId(), id])
    const running = organizations.delete(id).catch((error: unknown) => error)
    await expect.poll(() => schema.waitingForLocks()).toBe(1)
    return { running }
  })
  expect(await deletion.running).toMatchObject({ code: 'failed_precondition' })
})

test('A-4 a creation waits for a concurrent deletion and then finds no organization', async () => {
  const id = await newOrganization()
  const creation = await schema.transaction(async (client) => {
    await client.query('UPDATE organizations SET deleted_at = now() WHERE id = $1', [id])
    const running = gateways.create(gatewayOf(id)).catch((error: unknown) => error)
    await expect.poll(() => schema.waitingForLocks()).toBe(1)
    return { running }
  })
  expect(await creation.running).toMatchObject({ code: 'not_found', message: `Organization not found: ${id}` })
})

test('A-6 either the deletion fails or all creations fail when creations race with a deletion', async () => {
  for (let round = 0; round < 30; round += 1) {
    const id = await newOrganization()
    const race = [endDevices.create(deviceOf(id)), organizations.delete(id), gateways.create(gatewayOf(id))]
    const [device, deletion, gateway] = await Promise.allSettled(race)
    const created = [device, gateway].filter((result) => result?.status === 'fulfilled').length
    expect(deletion?.status).toBe(created === 0 ? 'fulfilled' : 'rejected')
  }
})

test('G-1 lists the versions of all live gateways of all live organizations in pages, and reads their rows', async () => {
  const organizationId = await newOrganization()
  await schema.sql(
    `INSERT INTO gateways (gateway_id, organization_id, name, gateway_type, gateway_config)
     SELECT 'all-' || lpad(n::text, 5, '0'), $1, 'g', 'print', '{}' FROM generate_series(1, 1100) n`,
    [organizationId],
  )
  await gateways.delete('all-00007')
  const seen = new Map<string, bigint>()
  for await (const page of gateways.versions()) {
    expect(page.length).toBeLessThanOrEqual(1000)
    for (const { gatewayId, updatedAt } of page) if (gatewayId.startsWith('all-')) seen.set(gatewayId, updatedAt)
  }
  expect(seen.size).toBe(1099)
  expect(seen.has('all-00007')).toBe(false)
  const renamed = await gateways.update('all-00009', { name: 'renamed' })
  expect(await gateways.getAll(['all-00007', 'all-00009', 'unknown'])).toEqual([renamed])
  expect(renamed?.updatedAt).toBeGreaterThan(seen.get('all-00009') ?? 0n)
  expect(await gateways.getAll([])).toEqual([])
})

test('B-10 a read point has the transactions in progress, and is after every commit that it contains', async () => {
  const [first] = await schema.sql<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn')
  const transactionId = await schema.transaction(async (client) => {
    const { rows } = await client.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid')
    const during = await gateways.readPoint()
    expect(during.inProgress).toContain(Number(rows[0]?.xid))
    expect(during.lsn).toBeGreaterThanOrEqual(parseLsn(first?.lsn ?? ''))
    return Number(rows[0]?.xid)
  })
  const [last] = await schema.sql<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn')
  const after = await gateways.readPoint()
  expect(after.inProgress).not.toContain(transactionId)
  expect(after.lsn).toBeGreaterThanOrEqual(parseLsn(last?.lsn ?? ''))
})

test('P-14 retentions are read in groups of at most 200 organizations, each organization once', async () => {
  const created = new Map<string, number>()
  for (let number = 0; number < 405; number += 1) {
    const retentionDays = number < 250 ? 7 : number < 400 ? 30 : 0
    const { id } = await organizations.create({ id: newId(), name: 'Acme', status: 'active', retentionDays })
    if (retentionDays > 0) created.set(id, retentionDays)
  }
  const read = new Map<string, number>()
  let previous = 0
  for await (const { days, organizationIds } of organizations.retentions()) {
    expect(organizationIds.length).toBeLessThanOrEqual(200)
    expect(days).toBeGreaterThanOrEqual(previous)
    previous = days
    for (const id of organizationIds) {
      expect(read.has(id)).toBe(false)
      read.set(id, days)
    }
  }
  expect(read).toEqual(created)
})

import { describe, expect, test, vi } from 'vitest'
import { decodeDeviceProfileId } from '../../src/proto/device-profile.ts'
import { decodeEndDevice, decodeGateway, decodeOrganization } from '../../src/proto/entities.ts'
import { CdcFixture, storedCount, storedEvents } from '../../test/rig/services/cdc-rig.ts'

const WAIT = { timeout: 30_000, interval: 20 }

const fixture = new CdcFixture()

const ORGANIZATION = `INSERT INTO organizations (id, name) VALUES ('org', 'Acme')`

describe('events', () => {
  test('C-1: are create, update and delete for a gateway, with the state after the change or the last state', async () => {
    await fixture.start()
    await fixture.database.sql(ORGANIZATION)
    await fixture.database
      .sql(`INSERT INTO gateways (gateway_id, organization_id, name, gateway_type, gateway_config, created_at)
      VALUES ('gw', 'org', 'North', 'EMQX', '{"host": "mqtt.example.com", "big": 12345678901234567890}',
              '2026-01-02 03:04:05.000006+00')`)
    await fixture.database.sql(`UPDATE gateways SET name = 'South', status = 'error'`)
    await fixture.database.sql(`DELETE FROM gateways`)
    await fixture.untilStored('gateways', 3)
    const events = await storedEvents(fixture.client, 'gateways')
    expect(events.map(({ subject }) => subject)).toEqual(['gateway.create', 'gateway.update', 'gateway.delete'])
    const [created, updated, deleted] = events.map(({ body }) => decodeGateway(body))
    expect(created).toMatchObject({
      gatewayId: 'gw',
      organizationId: 'org',
      name: 'North',
      gatewayType: 'EMQX',
      status: 'pending',
      createdAt: 1_767_323_045_000_006n,
      deletedAt: null,
    })
    expect(Buffer.from(events[0]?.body ?? []).includes('12345678901234567890')).toBe(true)
    expect(updated).toMatchObject({ name: 'South', status: 'error' })
    expect(deleted).toEqual(updated)
  })

  test('C-5: contain a soft delete as an update with the time of the deletion', async () => {
    await fixture.start()
    await fixture.database.sql(ORGANIZATION)
    await fixture.database.sql(
      `INSERT INTO gateways (gateway_id, organization_id, gateway_type) VALUES ('gw', 'org', 'print')`,
    )
    await fixture.database.sql(`UPDATE gateways SET deleted_at = '2026-01-02 03:04:05.000006+00'`)
    await fixture.untilStored('gateways', 2)
    const [, event] = await storedEvents(fixture.client, 'gateways')
    expect(event?.subject).toBe('gateway.update')
    expect(decodeGateway(event?.body ?? new Uint8Array()).deletedAt).toBe(1_767_323_045_000_006n)
  })

  test('C-2: contain organizations, device profiles and end devices too', async () => {
    await fixture.start()
    await fixture.database.sql(ORGANIZATION)
    await fixture.database.sql(`INSERT INTO end_devices (device_id, organization_id, name, payload_conversion)
      VALUES ('dev', 'org', 'Thermometer', 'cayenne(input)')`)
    await fixture.database.sql(`INSERT INTO device_profiles (profile_id, codec_kind) VALUES ('profile', 'cayenne_lpp')`)
    await fixture.database.sql(
      `UPDATE device_profiles SET name = 'Model'; UPDATE end_devices SET profile_id = 'profile'`,
    )
    await fixture.database.sql(
      `DELETE FROM end_devices; DELETE FROM device_profiles; UPDATE organizations SET status = 'inactive'`,
    )
    await fixture.untilStored('entities', 8)
    const events = await storedEvents(fixture.client, 'entities')
    expect(events.map(({ subject }) => subject)).toEqual([
      'organization.create',
      'end_device.create',
      'device_profile.create',
      'device_profile.update',
      'end_device.update',
      'end_device.delete',
      'device_profile.delete',
      'organization.update',
    ])
    const bodies = events.map(({ body }) => body)
    expect(decodeOrganization(bodies[0] ?? new Uint8Array())).toMatchObject({
      id: 'org',
      name: 'Acme',
      status: 'active',
    })
    expect(decodeEndDevice(bodies[1] ?? new Uint8Array())).toMatchObject({
      deviceId: 'dev',
      payloadConversion: 'cayenne(input)',
    })
    expect(decodeDeviceProfileId(bodies[2] ?? new Uint8Array())).toBe('profile')
    expect(decodeEndDevice(bodies[4] ?? new Uint8Array())).toMatchObject({ profileId: 'profile' })
    expect(decodeOrganization(bodies[7] ?? new Uint8Array()).status).toBe('inactive')
  })

  test('C-2: contain the retention of an organization', async () => {
    await fixture.start()
    await fixture.database.sql(ORGANIZATION)
    await fixture.database.sql('UPDATE organizations SET retention_days = 90')
    await fixture.untilStored('entities', 2)
    const events = await storedEvents(fixture.client, 'entities')
    expect(events.map(({ body }) => decodeOrganization(body).retentionDays)).toEqual([0, 90])
  })

  test('C-4: have a message id and headers with the position of the change in the log', async () => {
    await fixture.start()
    await fixture.database.sql(`BEGIN; ${ORGANIZATION}; UPDATE organizations SET name = 'B'; COMMIT`)
    await fixture.untilStored('entities', 2)
    const events = await storedEvents(fixture.client, 'entities')
    const [row] = await fixture.database.sql<{ xmin: string }>('SELECT xmin::text FROM organizations')
    const [first] = events
    const lsn = first?.header('Ponix-Lsn') ?? ''
    expect(lsn).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/)
    expect(events.map((event) => event.header('Nats-Msg-Id'))).toEqual(
      [0, 1].map((n) => `${fixture.database.slot}:${lsn}.${n}`),
    )
    expect(events.map((event) => event.header('Ponix-Index'))).toEqual(['0', '1'])
    expect(events.map((event) => event.header('Ponix-Operation'))).toEqual(['create', 'update'])
    expect(first?.header('Ponix-Transaction-Id')).toBe(row?.xmin)
    expect(first?.header('Ponix-Table')).toBe('public.organizations')
    expect(first?.header('Ponix-Commit-Time')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  })

  test('C-1: contain a truncated table as one event without a body', async () => {
    await fixture.start()
    await fixture.database.sql('TRUNCATE gateways')
    await fixture.untilStored('gateways', 1)
    const [event] = await storedEvents(fixture.client, 'gateways')
    expect(event?.subject).toBe('gateway.truncate')
    expect(event?.body).toHaveLength(0)
  })

  test('C-7: omit a dropped column, and the flow continues', async () => {
    const cdc = await fixture.start()
    await fixture.database.sql(ORGANIZATION)
    await fixture.database.sql('ALTER TABLE organizations DROP COLUMN name')
    await fixture.database.sql(`INSERT INTO organizations (id) VALUES ('other')`)
    await fixture.untilStored('entities', 2)
    const [, second] = await storedEvents(fixture.client, 'entities')
    expect(decodeOrganization(second?.body ?? new Uint8Array())).toMatchObject({ id: 'other', name: '' })
    await cdc.line('public.organizations has no column name: events are published without it')
  })
})

describe('a row that cannot become an event', () => {
  const unspeakable = `INSERT INTO organizations (id, created_at) VALUES ('late', '12000-01-01')`

  test('C-3: stalls the flow with one log line, and no later change is published or confirmed', async () => {
    const cdc = await fixture.serve()
    await cdc.process.line('streaming changes')
    await fixture.database.sql(unspeakable)
    await fixture.database.sql(ORGANIZATION)
    const end = await fixture.database.walEnd()
    const line = await cdc.process.line('the flow is stalled')
    expect(line.msg).toContain('insert of organization late: created_at: ')
    expect(line).toMatchObject({ organization_id: 'late', lsn: expect.stringContaining('/') })
    await expect.poll(() => cdc.metric('ponix_cdc_lag_seconds'), WAIT).toBeGreaterThan(2)
    expect(cdc.countOf('the flow is stalled')).toBe(1)
    expect(await storedCount(fixture.client, 'entities')).toBe(0)
    expect(await fixture.database.confirmed()).toBeLessThan(end)
    expect(await cdc.process.stop()).toBe(0)
  })

  test('C-3: becomes a dead letter with dead_letter, and the flow continues', async () => {
    await fixture.start({ PONIX_CDC_ON_ERROR: 'dead_letter' })
    await fixture.database.sql(unspeakable)
    await fixture.database.sql(ORGANIZATION)
    await fixture.untilStored('entities', 1)
    await fixture.untilStored('dead_letters', 1)
    const [letter] = await storedEvents(fixture.client, 'dead_letters')
    expect(letter?.subject).toBe('dead_letters.entities')
    expect(letter?.header('Ponix-Reason')).toContain('is out of range; expected 0001-01-01 to 9999-12-31')
    expect(JSON.parse(Buffer.from(letter?.body ?? []).toString())).toMatchObject({
      table: 'public.organizations',
      operation: 'insert',
      new: { id: 'late', created_at: '316516204800000000' },
    })
    const end = await fixture.database.walEnd()
    await vi.waitFor(async () => expect(await fixture.database.confirmed()).toBeGreaterThanOrEqual(end), WAIT)
  })

  test('C-3: becomes a dead letter with the beginning of its texts when it is larger than NATS accepts', async () => {
    await fixture.start({ PONIX_CDC_ON_ERROR: 'dead_letter' })
    await fixture.database.sql(`INSERT INTO organizations (id, name) VALUES ('huge', repeat('x', 2000000))`)
    await fixture.database.sql(ORGANIZATION)
    await fixture.untilStored('entities', 1)
    await fixture.untilStored('dead_letters', 1)
    const [letter] = await storedEvents(fixture.client, 'dead_letters')
    expect(letter?.header('Ponix-Original-Subject')).toBe('organization.create huge')
    const { new: row } = JSON.parse(Buffer.from(letter?.body ?? []).toString())
    expect(row).toMatchObject({ id: 'huge', name: `${'x'.repeat(100_000)}… (2000000 characters)` })
  })

  test('C-3: becomes a dead letter when only the stream rejects its size, without duplicates of adjacent events', async () => {
    await fixture.start({ PONIX_CDC_ON_ERROR: 'dead_letter' })
    const { config } = await fixture.client.manager.streams.info('entities')
    await fixture.client.manager.streams.update('entities', { ...config, max_msg_size: 5000 })
    await fixture.database
      .sql(`BEGIN; ${ORGANIZATION}; INSERT INTO organizations (id, name) VALUES ('huge', repeat('x', 9000));
      INSERT INTO organizations (id) VALUES ('third'); COMMIT`)
    await fixture.untilStored('entities', 2)
    await fixture.untilStored('dead_letters', 1)
    const events = await storedEvents(fixture.client, 'entities')
    expect(events.map(({ body }) => decodeOrganization(body).id)).toEqual(['org', 'third'])
  })
})

describe('the lifecycle of cdc', () => {
  test('C-10: a standby takes over without loss or duplicates when the streaming instance is killed', async () => {
    const leader = await fixture.start()
    const standby = fixture.launch()
    await standby.line('waiting as standby')
    await fixture.database.sql(`INSERT INTO organizations (id) SELECT 'a' || n FROM generate_series(1, 500) n`)
    await leader.kill()
    await fixture.database.sql(`INSERT INTO organizations (id) SELECT 'b' || n FROM generate_series(1, 500) n`)
    await standby.line('streaming changes')
    await fixture.untilStored('entities', 1000)
    const ids = (await storedEvents(fixture.client, 'entities')).map(({ body }) => decodeOrganization(body).id)
    const expected = ['a', 'b'].flatMap((prefix) => Array.from({ length: 500 }, (_, n) => `${prefix}${n + 1}`))
    expect(ids).toEqual(expected)
  })

  test('C-14: a stop by SIGTERM publishes and confirms all changes that were read, and exits with 0', async () => {
    const cdc = await fixture.start({ PONIX_CDC_BATCH_TIMEOUT_MS: '3600000', PONIX_CDC_BATCH_SIZE: '1000000' })
    await fixture.database.sql(ORGANIZATION)
    const end = await fixture.database.walEnd()
    await fixture.untilStored('entities', 1)
    expect(await fixture.database.confirmed()).toBeLessThan(end)
    expect(await cdc.stop()).toBe(0)
    expect(await fixture.database.confirmed()).toBeGreaterThanOrEqual(end)
  })

  test('C-10: an error that needs an operator is reported in one line, and the service continues when it is resolved', async () => {
    await fixture.database.sql('ALTER TABLE gateways REPLICA IDENTITY DEFAULT')
    const cdc = fixture.launch()
    await cdc.line('REPLICA IDENTITY FULL')
    await fixture.database.sql('ALTER TABLE gateways REPLICA IDENTITY FULL')
    await cdc.line('streaming changes')
    const errors = cdc.lines.filter(({ msg }) => msg.includes('REPLICA IDENTITY FULL'))
    expect(errors).toHaveLength(1)
    expect(errors[0]?.msg).toContain('run: ALTER TABLE "public"."gateways" REPLICA IDENTITY FULL')
    expect(cdc.lines.map((line) => JSON.stringify(line)).join('\n')).not.toContain('    at ')
  })

  test('N-1: a stream subject that belongs to another stream is reported in one line with exit code 1', async () => {
    await fixture.client.manager.streams.add({ name: 'other', subjects: ['gateway.update'] })
    const cdc = fixture.launch()
    expect((await cdc.outcome).code).toBe(1)
    expect(cdc.lines.some(({ msg }) => /gateway/.test(msg) && /other/.test(msg))).toBe(true)
  })

  test('N-6: a stream that is deleted while the service runs is recreated and receives the events from then on', async () => {
    await fixture.start()
    await fixture.database.sql(ORGANIZATION)
    await fixture.untilStored('entities', 1)
    await fixture.client.manager.streams.delete('entities')
    await fixture.database.sql(`UPDATE organizations SET name = 'B'`)
    await vi.waitFor(async () => expect(await storedCount(fixture.client, 'entities')).toBe(1), WAIT)
  })
})

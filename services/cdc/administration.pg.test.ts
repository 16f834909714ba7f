import { describe, expect, test, vi } from 'vitest'
import { decodeGateway, decodeOrganization } from '../../src/proto/entities.ts'
import { CdcFixture, storedCount, storedEvents } from '../../test/rig/services/cdc-rig.ts'
import { freePort } from '../../test/rig/servers.ts'

const WAIT = { timeout: 30_000, interval: 20 }
const ORGANIZATION = `INSERT INTO organizations (id, name) VALUES ('org', 'Acme')`

const fixture = new CdcFixture()

async function metricsAt(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`)
  return await response.text()
}

describe('existing rows', () => {
  test('C-11: become create events before all changes with PONIX_CDC_SNAPSHOT=initial', async () => {
    await fixture.database.sql(ORGANIZATION)
    await fixture.database.sql(`INSERT INTO gateways (gateway_id, organization_id, gateway_type, created_at)
      VALUES ('gw 1/ü', 'org', 'print', '2026-01-02 03:04:05.000006+00')`)
    await fixture.start({ PONIX_CDC_SNAPSHOT: 'initial' })
    await fixture.database.sql(`UPDATE gateways SET name = 'South'`)
    await fixture.untilStored('gateways', 2)
    const [created, updated] = await storedEvents(fixture.client, 'gateways')
    expect(created?.subject).toBe('gateway.create')
    expect(decodeGateway(created?.body ?? new Uint8Array())).toMatchObject({
      gatewayId: 'gw 1/ü',
      createdAt: 1_767_323_045_000_006n,
    })
    const snapshot = created?.header('Ponix-Snapshot') ?? ''
    expect(created?.header('Nats-Msg-Id')).toBe(`${fixture.database.slot}:snapshot.${snapshot}.gateway.gw%201%2F%C3%BC`)
    expect(updated?.subject).toBe('gateway.update')
    expect(updated?.header('Ponix-Snapshot')).toBe('')
    const [organization] = await storedEvents(fixture.client, 'entities')
    expect(decodeOrganization(organization?.body ?? new Uint8Array()).name).toBe('Acme')
  })

  test('C-11: are sent again at the next start after ponix-cdc resnapshot', async () => {
    const cdc = await fixture.start()
    await fixture.database.sql(ORGANIZATION)
    await fixture.untilStored('entities', 1)
    await cdc.stop()
    const done = await fixture.command('resnapshot')
    expect(done).toMatchObject({ code: 0, text: expect.stringContaining('so no change is missed') })
    await fixture.start()
    await fixture.untilStored('entities', 2)
    const [first, again] = await storedEvents(fixture.client, 'entities')
    expect(again?.body).toEqual(first?.body)
    expect(again?.header('Ponix-Snapshot')).not.toBe('')
  })
})

describe('ponix-cdc forget', () => {
  test('C-10: drops the slot of a stopped service, which continues with a new one and skips the changes in between', async () => {
    const cdc = await fixture.start()
    expect(await fixture.command('forget')).toMatchObject({
      code: 1,
      text: expect.stringContaining('stop every instance'),
    })
    await cdc.stop()
    await fixture.database.sql(ORGANIZATION)
    expect(await fixture.command('forget')).toEqual({
      code: 0,
      text: `The slot ${fixture.database.slot} was dropped; ponix-cdc continues from now with a new one.`,
    })
    await fixture.start()
    await fixture.database.sql(`UPDATE organizations SET name = 'B'`)
    await fixture.untilStored('entities', 1)
    const subjects = (await storedEvents(fixture.client, 'entities')).map(({ subject }) => subject)
    expect(subjects).toEqual(['organization.update'])
  })
})

describe('ponix-cdc status', () => {
  test('C-13: shows the slot, its lag, the retained WAL and the events in flight', async () => {
    const absent = await fixture.command('status')
    expect(absent).toMatchObject({ code: 1, text: expect.stringContaining('does not exist') })
    const port = await freePort()
    const served = { PONIX_CDC_HTTP_PORT: String(port) }
    await fixture.start(served)
    await fixture.database.sql(`INSERT INTO organizations (id, created_at) VALUES ('late', '12000-01-01')`)
    await vi.waitFor(async () => expect(await metricsAt(port)).toMatch(/^ponix_cdc_in_flight 1$/m), WAIT)
    const process = fixture.launch(served, ['status', '--json'])
    expect((await process.outcome).code).toBe(0)
    const status: unknown = JSON.parse(process.lines.map(({ msg }) => msg).join('\n'))
    expect(status).toMatchObject({
      slot: fixture.database.slot,
      state: 'streaming',
      confirmed_lsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
      lag_bytes: expect.any(Number),
      lag_seconds: expect.any(Number),
      retained_wal_bytes: expect.any(Number),
      in_flight: 1,
      snapshot: null,
    })
    expect(status).not.toMatchObject({ lag_bytes: 0 })
    const text = await fixture.command('status')
    expect(text.text).toMatch(/^slot +.*: an instance streams from it\nconfirmed +\S+\nlag +[\d,]+ bytes/)
  })

  test('R-6: reports an unreachable PostgreSQL in one line with the variables to set', async () => {
    const { text, code } = await fixture.commandIn({ PONIX_POSTGRES_PORT: '1' }, 'status')
    expect(code).toBe(1)
    expect(text).toMatch(
      /^(ponix-cdc: )?could not connect to PostgreSQL at .*:1\/.*ECONNREFUSED.*; set PONIX_POSTGRES_HOST and PONIX_POSTGRES_PORT$/,
    )
  })

  test('C-13: reports an unknown command in one line with exit code 2', async () => {
    expect(await fixture.command('resnap')).toEqual({
      code: 2,
      text: 'ponix-cdc: unknown command "resnap"; the commands are run, status, resnapshot, forget',
    })
  })
})

describe('metrics and warnings', () => {
  test('C-13, B-18: the metrics show events by table and operation, dead letters, events in flight, lag, retries and streams', async () => {
    const port = await freePort()
    const { database } = fixture
    await fixture.start({ PONIX_CDC_HTTP_PORT: String(port), PONIX_CDC_ON_ERROR: 'dead_letter' })
    await database.sql(`${ORGANIZATION}; UPDATE organizations SET name = 'B'; UPDATE organizations SET name = 'C'`)
    await database.sql(`INSERT INTO organizations (id, created_at) VALUES ('late', '12000-01-01')`)
    await fixture.untilStored('dead_letters', 1)
    await database.sql('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1', [
      database.slot,
    ])
    const expected = [
      /^ponix_cdc_events_total\{entity="organization",operation="create"\} 1$/m,
      /^ponix_cdc_events_total\{entity="organization",operation="update"\} 2$/m,
      /^ponix_cdc_dead_letters_total\{entity="organization",operation="create"\} 1$/m,
      /^ponix_cdc_in_flight 0$/m,
      /^ponix_cdc_lag_seconds 0$/m,
      /^ponix_cdc_lag_bytes \d+$/m,
      /^ponix_cdc_retained_wal_bytes [1-9]\d*$/m,
      /^ponix_cdc_retries [1-9]\d*$/m,
      /^ponix_cdc_streaming 1$/m,
      /^ponix_nats_stream_bytes\{stream="dead_letters"\} \d+$/m,
    ]
    await vi.waitFor(async () => {
      const text = await metricsAt(port)
      for (const line of expected) expect(text).toMatch(line)
    }, WAIT)
  })

  test('C-13: warns once when the slot retains more WAL than the limit', async () => {
    const warning = 'the replication slot retains'
    await fixture.database.sql('CREATE TABLE noise (line text)')
    await fixture.database.sql('SELECT pg_create_logical_replication_slot($1, $2)', [fixture.database.slot, 'pgoutput'])
    await fixture.database.sql(`INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 4000)`)
    const cdc = await fixture.start({ PONIX_CDC_RETAINED_WAL_WARN_MB: '1' })
    const line = await cdc.line(warning)
    expect(line).toMatchObject({ level: 'warn', retained_bytes: expect.any(Number) })
    expect(line.msg).toContain('more than 1 MB (PONIX_CDC_RETAINED_WAL_WARN_MB)')
  })

  test('C-12: an incomplete batch with a long timeout delays no event', async () => {
    await fixture.start({ PONIX_CDC_BATCH_SIZE: '1000000', PONIX_CDC_BATCH_TIMEOUT_MS: '3600000' })
    for (let n = 1; n <= 3; n += 1) {
      await fixture.database.sql(`INSERT INTO organizations (id) VALUES ('o${n}')`)
      await fixture.untilStored('entities', n)
    }
    expect(await storedCount(fixture.client, 'entities')).toBe(3)
  })
})

import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { status as Status } from '@grpc/grpc-js'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../src/proto/gen/grpc/health/v1/health_pb.ts'
import { TelemetryService } from '../../src/proto/gen/ponix/analytics/v1/telemetry_pb.ts'
import { refusal } from '../../test/rig/services/api.ts'
import { telemetryForEach, type TestTelemetry } from '../../test/rig/adapters/telemetry.ts'

const { getLatest, queryEnvelopes } = TelemetryService.method

const rig = telemetryForEach()
let telemetry: TestTelemetry
let organizationId: string
let deviceId: string

beforeEach(() => {
  ;({ telemetry } = rig)
  ;({ organizationId, deviceId } = telemetry)
})

/** Returns the newest envelopes by gRPC. */
function query(pageSize = 0) {
  return telemetry.api.client.call(queryEnvelopes, { organizationId, pageSize })
}

async function csvText(parameters = ''): Promise<string> {
  const response = await telemetry.csv(`${organizationId}/envelopes.csv${parameters}`)
  expect(response.status).toBe(200)
  return response.text()
}

describe('the CSV export', () => {
  test('writes a column for each field, newest first, each envelope once, quoted where necessary', async () => {
    await telemetry.write(deviceId, [{ t: 1, note: 'a "b", c' }, { t: 2.5, acc: { x: -1 } }, { note: '=1+1' }])
    await telemetry.write(deviceId, [{ t: 1, note: 'a "b", c' }])
    expect(await csvText('?field=t&field=acc.x&field=note&field=t')).toBe(
      'end_device_id,occurred_at,t,acc.x,note\r\n' +
        `${deviceId},2026-01-02T03:04:07.000000Z,,,'=1+1\r\n` +
        `${deviceId},2026-01-02T03:04:06.000000Z,2.5,-1,\r\n` +
        `${deviceId},2026-01-02T03:04:05.000000Z,1,,"a ""b"", c"\r\n`,
    )
  })

  test('writes one column with all fields when none is selected', async () => {
    await telemetry.write(deviceId, [{ t: 1, acc: { x: -1 } }])
    expect(await csvText()).toBe(
      `end_device_id,occurred_at,data\r\n${deviceId},2026-01-02T03:04:05.000000Z,"{""acc"":{""x"":-1},""t"":1}"\r\n`,
    )
  })

  test('sends its content type and a file name', async () => {
    const { headers } = await telemetry.csv(`${organizationId}/envelopes.csv`)
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect(headers.get('content-disposition')).toBe('attachment; filename="envelopes.csv"')
  })

  test('filters by device and times and limits the rows', async () => {
    await telemetry.write(deviceId, [{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }])
    await telemetry.write(await telemetry.createDevice(), [{ n: 'other' }])
    const times = 'from=2026-01-02T03:04:05.5Z&to=2026-01-02T03:04:08Z'
    const lines = (await csvText(`?end_device_id=${deviceId}&${times}&limit=1&field=n`)).split('\r\n')
    expect(lines).toEqual(['end_device_id,occurred_at,n', `${deviceId},2026-01-02T03:04:07.000000Z,2`, ''])
  })

  test('has columns for the properties of uplinks on request', async () => {
    await telemetry.write(deviceId, [{ n: 0 }], { uplink: { fPort: 2, fCnt: 7, metadata: { rssi: -113 } } })
    const lines = (await csvText('?field=n&uplink=true')).split('\r\n')
    expect(lines).toEqual([
      'end_device_id,occurred_at,n,f_port,f_cnt,metadata',
      `${deviceId},2026-01-02T03:04:05.000000Z,0,2,7,"{""rssi"":-113}"`,
      '',
    ])
  })

  test('has a column for the warnings of the codec on request, empty without warnings', async () => {
    const other = await telemetry.createDevice()
    await telemetry.write(deviceId, [{ n: 0 }], { warnings: ['wet', 'a "low" battery'] })
    await telemetry.write(other, [{ n: 1 }])
    const times = '2026-01-02T03:04:05.000000Z'
    expect(await csvText(`?field=n&warnings=true&end_device_id=${deviceId}`)).toBe(
      `end_device_id,occurred_at,n,warnings\r\n${deviceId},${times},0,"[""wet"",""a \\""low\\"" battery""]"\r\n`,
    )
    expect(await csvText(`?field=n&uplink=true&warnings=true&end_device_id=${other}`)).toBe(
      `end_device_id,occurred_at,n,f_port,f_cnt,metadata,warnings\r\n${other},${times},1,,,,\r\n`,
    )
  })

  test('A-7 never contains envelopes of another organization', async () => {
    await telemetry.write(deviceId, [{ n: 1 }])
    const other = await telemetry.csv(`${await telemetry.createOrganization()}/envelopes.csv?end_device_id=${deviceId}`)
    expect(await other.text()).toBe('end_device_id,occurred_at,data\r\n')
  })

  test.each([
    ['nobody/envelopes.csv', 404, 'Organization not found: nobody\n'],
    ['%20/envelopes.csv', 400, 'organization_id is required and must not be blank\n'],
    ['org/envelopes.csv?limit=x', 400, 'limit must be a whole number from 1 to 1000000000, not "x"\n'],
    ['org/envelopes.csv?uplink=1', 400, 'uplink must be true or false, not "1"\n'],
    ['org/envelopes.csv?warnings=yes', 400, 'warnings must be true or false, not "yes"\n'],
    ['org/envelopes.csv?field=', 400, 'field is required and must not be blank\n'],
    ['org/envelopes.csv?from=2026-01-02T03:04:05Z&to=2026-01-01T03:04:05Z', 400, 'to must be later than from'],
  ])('answers %s with status %i and one line', async (path, status, line) => {
    const response = await telemetry.csv(path)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    const body = await response.text()
    expect(body).toContain(line)
    expect(body).toMatch(/^[^\n]+\n$/)
  })

  test('sends a hundred megabytes completely', async () => {
    await telemetry.fill(300_000)
    const response = await telemetry.openCsv('&field=text')
    let lines = 0
    for await (const chunk of response) lines += String(chunk).split('\n').length - 1
    expect(lines).toBe(300_001)
    expect(response.complete).toBe(true)
    expect(await telemetry.runningQueries()).toEqual([])
  })

  test('A-4 ends the query in ClickHouse when the client disconnects', async () => {
    await telemetry.fill(300_000)
    const response = await telemetry.openCsv()
    response.once('error', () => {})
    await expect.poll(() => telemetry.runningQueries()).toHaveLength(1)
    response.destroy()
    await expect.poll(() => telemetry.runningQueries()).toEqual([])
    const exports = () => telemetry.api.log.filter((line) => String(line['method']).startsWith('GET '))
    await expect.poll(exports).toMatchObject([{ code: 'CANCELLED', organization_id: organizationId }])
  })

  test('rejects a fifth concurrent export', async () => {
    await telemetry.fill(300_000)
    const four = await Promise.all([1, 2, 3, 4].map(() => telemetry.openCsv()))
    const fifth = await telemetry.csv(`${organizationId}/envelopes.csv`)
    expect(fifth.status).toBe(503)
    expect(fifth.headers.get('retry-after')).toBe('5')
    expect(await fifth.text()).toBe('4 exports are already running; try again when one has ended\n')
    expect((await query(1)).envelopes).toHaveLength(1)
    for (const response of four) response.on('error', () => {}).destroy()
    await expect.poll(async () => (await telemetry.csv(`${organizationId}/envelopes.csv?limit=1`)).status).toBe(200)
  })
})

describe('an outage of ClickHouse', () => {
  test('makes telemetry and its health unavailable immediately, and nothing else', async () => {
    await rig.clickhouse.kill()
    const away = { code: Status.UNAVAILABLE, details: 'The telemetry store is not available; try again' }
    expect(await refusal(query())).toEqual(away)
    expect(await refusal(telemetry.api.client.call(getLatest, { organizationId, endDeviceId: deviceId }))).toEqual(away)
    const response = await telemetry.csv(`${organizationId}/envelopes.csv`)
    expect([response.status, await response.text()]).toEqual([503, `${away.details}\n`])
    const health = async (service: string) => (await telemetry.api.client.call(Health.method.check, { service })).status
    await expect.poll(() => health(TelemetryService.typeName)).toBe(ServingStatus.NOT_SERVING)
    expect(await health('')).toBe(ServingStatus.SERVING)
    expect(await telemetry.createDevice()).not.toBe('')
    await rig.clickhouse.start()
    await expect.poll(() => health(TelemetryService.typeName)).toBe(ServingStatus.SERVING)
    expect((await query()).envelopes).toEqual([])
  })

  test('closes the connection of a running export, so that the client sees a truncated file', async () => {
    await telemetry.fill(300_000)
    const response = await telemetry.openCsv()
    await rig.clickhouse.kill()
    await expect(text(response)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(response.complete).toBe(false)
    await rig.clickhouse.start()
  })

  test('HTTP/1.0 is rejected, because it cannot signal a truncated file', async () => {
    const socket = connect({ host: '127.0.0.1', port: telemetry.httpPort })
    socket.write(`GET /v1/organizations/${organizationId}/envelopes.csv HTTP/1.0\r\n\r\n`)
    expect(await text(socket)).toMatch(/^HTTP\/1.1 505 .*\r\n\r\nCSV requires HTTP\/1\.1.*\n$/s)
  })
})

test('A-10 the server finishes a running export on shutdown and rejects a new one', async () => {
  await telemetry.fill(60_000)
  const response = await telemetry.openCsv()
  const stopped = telemetry.api.stop()
  await expect
    .poll(async () => (await telemetry.csv(`${organizationId}/envelopes.csv`)).text())
    .toBe('The service is stopping; try again\n')
  const lines = (await text(response)).split('\n')
  expect(lines).toHaveLength(60_002)
  await stopped
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { builtProgram, type Outcome, Program } from '../../../test/rig/program.ts'
import { ORGANIZATION, startWholePath, type WholePath } from '../../../test/rig/services/pipeline.ts'

const WAIT = { timeout: 50_000, interval: 50 }
const COUNT = 40

let path: WholePath

beforeAll(async () => {
  path = await startWholePath()
}, 300_000)
afterAll(() => path.stop())

function start(...args: readonly string[]): Program {
  const env = { PATH: process.env['PATH'], ...path.variables }
  return new Program(process.execPath, [builtProgram('analytics'), 'redecode', ...args], { env })
}

async function redecode(...args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr }: Outcome = await start('--json', ...args).outcome
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as Record<string, unknown>
}

/** Returns the distinct data of the rows that readers see, with their numbers. */
async function dataOf(device: string): Promise<unknown> {
  const text = `SELECT toJSONString(data) AS data, toUInt32(count()) AS rows FROM processed_envelopes
    WHERE end_device_id = {device: String} GROUP BY data ORDER BY data`
  return await path.query(text, device)
}

/** Creates a device with rows of `payloadConversion`, or of the profile if it is empty, and then sets the other. */
async function createDevice(device: string, payloadConversion: string, next: string): Promise<void> {
  await path.createDevice(device, payloadConversion, payloadConversion === '' ? 'profile' : '')
  await path.publish(device, COUNT)
  await expect.poll(() => path.rowsOf(device), WAIT).toEqual({ rows: COUNT, envelopes: COUNT })
  await path.endDevices.update(device, { payloadConversion: next })
}

function rows(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return { equal: 0, changed: 0, new: 0, vanished: 0, ...counts }
}

describe('ponix-analytics redecode', () => {
  test('replaces the rows by those of the codec of today; a preview changes nothing', async () => {
    await createDevice('changed', '{"version": 1}', '{"version": 2}')
    const preview = await redecode('--device', 'changed')
    expect(preview).toMatchObject({ replaced: false, envelopes: COUNT, failures: [], rows: rows({ changed: COUNT }) })
    expect(preview).toMatchObject({ example: { before: '{"version":1}', after: '{"version":2}' } })
    expect(await dataOf('changed')).toEqual([{ data: '{"version":1}', rows: COUNT }])
    await redecode('--device', 'changed', '--yes')
    expect(await dataOf('changed')).toEqual([{ data: '{"version":2}', rows: COUNT }])
    expect(await redecode('--device', 'changed', '--yes')).toMatchObject({ rows: rows({ equal: COUNT }) })
  }, 120_000)

  test('removes rows that an envelope no longer has, and adds its further readings', async () => {
    const list = '[{"age_s": 0, "data": {"n": 0}}, {"age_s": 60, "data": {"n": 1}}]'
    await createDevice('readings', '{"n": 9}', list)
    const expected = rows({ new: 2 * COUNT, vanished: COUNT })
    expect(await redecode('--device', 'readings')).toMatchObject({ rows: expected })
    await redecode('--device', 'readings', '--yes')
    const both = [0, 1].map((n) => ({ data: `{"n":${n}}`, rows: COUNT }))
    expect(await dataOf('readings')).toEqual(both)
    expect(await redecode('--device', 'readings')).toMatchObject({ rows: rows({ equal: 2 * COUNT }) })
  }, 120_000)

  test('keeps the rows of envelopes that fail today, with the reason', async () => {
    await createDevice('failing', '{"n": 1}', '{"n": uint8(input, 99)}')
    const { failures, rows: counted } = await redecode('--device', 'failing', '--yes')
    expect(failures).toEqual([
      { reason: expect.stringContaining('payload conversion of device failing'), count: COUNT },
    ])
    expect(counted).toEqual(rows({}))
    expect(await dataOf('failing')).toEqual([{ data: '{"n":1}', rows: COUNT }])
  }, 120_000)

  test('uses the profile of a device, in JavaScript, from one reading to three and back', async () => {
    const codec = (result: string): string => `function decodeUplink(input) { return ${result} }`
    const one = codec('{ data: { n: input.bytes.length } }')
    const list = '[0, 60, 120].map((age_s) => ({ age_s, data: { n: 9, age_s } }))'
    const ids = { profileId: 'profile', organizationId: ORGANIZATION, name: 'A model' }
    const profile = { ...ids, codecKind: 'javascript', codecSource: one, samples: [], fields: [] } as const
    await path.profiles.create(profile)
    await createDevice('javascript', '', '')
    const set = async (codecSource: string): Promise<void> =>
      void (await path.profiles.update('profile', { codecSource }))
    const single = [{ data: '{"n":11}', rows: COUNT }]
    expect(await dataOf('javascript')).toEqual(single)

    await set(codec(`{ data: ${list}, warnings: ['wet'] }`))
    expect(await redecode('--device', 'javascript', '--yes')).toMatchObject({
      rows: rows({ new: 3 * COUNT, vanished: COUNT }),
    })
    const three = [0, 120, 60].map((age) => ({ data: `{"age_s":${age},"n":9}`, rows: COUNT }))
    expect(await dataOf('javascript')).toEqual(three)

    await set(codec(`{ data: ${list}, warnings: ['dry'] }`))
    expect(await redecode('--device', 'javascript')).toMatchObject({
      rows: rows({ changed: 3 * COUNT }),
      example: { before: expect.stringContaining(' warnings ["wet"]'), after: expect.stringContaining('["dry"]') },
    })
    await set(one)
    await redecode('--device', 'javascript', '--yes')
    expect(await dataOf('javascript')).toEqual(single)
  }, 120_000)

  test('keeps the rows of an envelope of which the table cannot store a reading, also in the preview', async () => {
    const list = '[{"age_s": 60, "data": {"n": 2}}, {"age_s": 0, "data": {"a.b": 1, "a": {"b": 2}}}]'
    await createDevice('conflict', '{"n": 1}', list)
    const failures = [{ reason: 'a row cannot be stored: data has two values at the path a.b', count: COUNT }]
    expect(await redecode('--device', 'conflict')).toMatchObject({ failures, rows: rows({}) })
    expect(await redecode('--device', 'conflict', '--yes')).toMatchObject({ failures, rows: rows({}) })
    expect(await dataOf('conflict')).toEqual([{ data: '{"n":1}', rows: COUNT }])
  }, 120_000)

  test('deletes no row of an envelope of which ClickHouse rejects a row', async () => {
    await createDevice('rejected', '{"n": 1}', '[{"age_s": 0, "data": {"n": -1}}]')
    const alter = async (change: string): Promise<void> =>
      void (await path.clickhouse.client.command({ query: `ALTER TABLE processed_envelope_rows ${change}` }))
    await alter(`ADD CONSTRAINT positive CHECK data.n::Nullable(Float64) > 0 OR end_device_id != 'rejected'`)
    const { failures } = await redecode('--device', 'rejected', '--yes')
    await alter('DROP CONSTRAINT positive')
    expect(failures).toContainEqual({ reason: expect.stringContaining('rejected a row'), count: expect.any(Number) })
    expect(await dataOf('rejected')).toEqual([{ data: '{"n":1}', rows: COUNT }])
  }, 120_000)

  test('a run that is killed is completed by the next one', async () => {
    await createDevice('killed', '{"n": 1}', '[{"age_s": 60, "data": {"n": 2}}]')
    const killed = start('--device', 'killed', '--yes')
    const replaced = async (): Promise<number> => ((await dataOf('killed')) as unknown[]).length
    // Between the insert of the first group and the end of the run there are rows of both codecs.
    await expect.poll(replaced, { ...WAIT, interval: 1 }).toBe(2)
    await killed.kill()
    await redecode('--device', 'killed', '--yes')
    expect(await dataOf('killed')).toEqual([{ data: '{"n":2}', rows: COUNT }])
  }, 120_000)
})

import { afterAll, beforeAll, expect, test } from 'vitest'
import { builtProgram, type Outcome, Program } from '../../../test/rig/program.ts'
import { startWholePath, type WholePath } from '../../../test/rig/services/pipeline.ts'

const WAIT = { timeout: 50_000, interval: 50 }
const COUNT = 20
const LIST = '[{"age_s": 0, "data": {"n": 2}}, {"age_s": 60, "data": {"n": 3}}]'

let path: WholePath

beforeAll(async () => {
  path = await startWholePath(['raw'])
}, 300_000)
afterAll(() => path.stop())

async function redecode(...args: readonly string[]): Promise<Outcome> {
  const env = { PATH: process.env['PATH'], ...path.variables }
  return await new Program(process.execPath, [builtProgram('analytics'), 'redecode', '--device', 'device', ...args], {
    env,
  }).outcome
}

async function processed(): Promise<number> {
  return (await path.nats.manager.streams.info('processed_envelopes')).state.messages
}

/** Returns the distinct data of the rows that readers see, with their numbers. */
async function rows(): Promise<unknown> {
  const text = `SELECT toJSONString(data) AS data, toUInt32(count()) AS rows FROM processed_envelopes
    WHERE end_device_id = {device: String} GROUP BY data ORDER BY data`
  return await path.query(text, 'device')
}

test('P-15: envelopes in progress and envelopes that follow become rows of the codec of today only', async () => {
  await path.createDevice('device', '{"n": 1}')
  await path.publish('device', COUNT)
  await expect.poll(processed, WAIT).toBe(COUNT)
  await path.stopProcesses()
  await path.publish('device', COUNT, COUNT)
  await path.endDevices.update('device', { payloadConversion: LIST })
  const preview = await redecode('--json')
  expect(JSON.parse(preview.stdout)).toMatchObject({ envelopes: COUNT, left_to_analytics: COUNT })

  // Processed envelopes of the former codec are not stored while the consumer does not run.
  const early = await redecode('--yes', '--wait', '1')
  expect(early).toMatchObject({ code: 1, stdout: '' })
  expect(early.stderr).toContain('analytics has not finished processed envelopes of device device within 1 s')
  expect(await rows()).toEqual([])

  const replacing = redecode('--yes')
  path.startProcesses(['raw', 'processed'])
  expect(await replacing).toMatchObject({ code: 0, stderr: '' })
  await expect.poll(processed, WAIT).toBe(3 * COUNT)
  await expect.poll(rows, WAIT).toEqual([2, 3].map((n) => ({ data: `{"n":${n}}`, rows: 2 * COUNT })))
}, 200_000)

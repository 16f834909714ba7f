import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { Codec } from '../../src/domain/codecs/codec.ts'
import { DeviceProfileService } from '../../src/domain/codecs/device-profile-service.ts'
import { createIdGenerator } from '../../src/domain/ids.ts'
import { connectPostgres, type PostgresDatabase } from '../../src/postgres/database.ts'
import { PostgresDeviceProfileRepository } from '../../src/postgres/device-profile-repository.ts'
import { TestSchema } from '../../test/rig/adapters/test-schema.ts'

const cel = (source: string): Codec => ({ kind: 'cel', source })
const SAMPLE = { name: 'known', payload: '01', expected: { data: { v: 1 } } }

let schema: TestSchema
let database: PostgresDatabase
let profiles: PostgresDeviceProfileRepository

beforeAll(async () => {
  schema = await TestSchema.create(inject('postgres'))
  database = await connectPostgres(schema.options)
  profiles = new PostgresDeviceProfileRepository(database)
})

afterAll(async () => {
  await database.close()
  await schema[Symbol.asyncDispose]()
})

/** Creates a profile whose codec returns 0 and a service whose codecs are sources of JSON; `meanwhile` is called before each run. */
async function scene(meanwhile: (profileId: string, runs: number) => Promise<unknown>) {
  const runs: string[] = []
  const service = new DeviceProfileService(
    profiles,
    createIdGenerator(),
    { check: () => ({ ok: true }) },
    {
      check: () => Promise.resolve({ ok: true, data: {} }),
      run: async (_, { source }) => {
        runs.push(source)
        await meanwhile(profileId, runs.length)
        return { ok: true, data: JSON.parse(source) }
      },
    },
  )
  const values = { organizationId: '', name: 'P', codec: cel('{"v": 0}'), samples: [], fields: [], skipSamples: false }
  const { profileId } = await service.create(values)
  return { service, profileId, runs }
}

test('A-4 a codec is not stored with samples that were stored while it was tested and that it fails', async () => {
  const other = { ...SAMPLE, expected: { data: { v: 0 } } }
  const { service, profileId, runs } = await scene(async (id, run) => {
    if (run === 1) await profiles.update(id, { samples: [other] })
  })
  await service.update(profileId, { samples: [{ name: 'any', payload: '' }], skipSamples: true })
  const update = service.update(profileId, { codec: cel('{"v": 1}'), skipSamples: false })
  await expect(update).rejects.toMatchObject({ code: 'invalid_argument', message: expect.stringContaining('"known"') })
  expect(runs).toHaveLength(2)
  expect(await profiles.get(profileId)).toMatchObject({ codecSource: '{"v": 0}', samples: [other] })
})

test('A-4 samples are not stored with a codec that was stored while they ran and that fails them', async () => {
  const { service, profileId } = await scene(async (id, run) => {
    if (run === 1) await profiles.update(id, { codecSource: '{"v": 2}' })
  })
  const sample = { ...SAMPLE, expected: { data: { v: 0 } } }
  const update = service.update(profileId, { samples: [sample], skipSamples: false })
  await expect(update).rejects.toMatchObject({ code: 'invalid_argument' })
  expect(await profiles.get(profileId)).toMatchObject({ codecSource: '{"v": 2}', samples: [] })
})

test('A-4 an update whose samples pass with the changed profile is stored, and keeps the other change', async () => {
  const { service, profileId, runs } = await scene(async (id, run) => {
    if (run === 1) await profiles.update(id, { name: 'Q' })
  })
  const sample = { ...SAMPLE, expected: { data: { v: 0 } } }
  const updated = await service.update(profileId, { samples: [sample], skipSamples: false })
  expect(updated).toMatchObject({ name: 'Q', samples: [sample] })
  expect(runs).toHaveLength(2)
})

test('A-4 an update is aborted if the profile changes each time while its samples run', async () => {
  const { service, profileId, runs } = await scene((id) => profiles.update(id, { name: 'again' }))
  const update = service.update(profileId, { samples: [{ name: 'any', payload: '' }], skipSamples: false })
  const message = `Device profile ${profileId} changed 5 times while its samples ran; call UpdateDeviceProfile again`
  await expect(update).rejects.toMatchObject({ code: 'aborted', message })
  expect(runs).toHaveLength(5)
})

test('A-4 an update of a profile that is deleted while its samples run finds none', async () => {
  const { service, profileId } = await scene((id) => profiles.delete(id))
  const update = service.update(profileId, { samples: [{ name: 'any', payload: '' }], skipSamples: false })
  await expect(update).rejects.toMatchObject({ code: 'not_found' })
})

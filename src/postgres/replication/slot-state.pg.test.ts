import { Client } from 'pg'
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { TestDatabase } from '../../../test/rig/adapters/capture-rig.ts'
import { migrations } from '../../../test/rig/adapters/test-schema.ts'
import { SlotStateStore } from './slot-state.ts'

const ROUNDS = 50

let database: TestDatabase
let one: Client
let two: Client

beforeEach(async () => {
  database = await TestDatabase.create(inject('postgres'))
  const { host, port, database: name, username: user, password } = database.server
  one = new Client({ host, port, database: name, user, password })
  two = new Client({ host, port, database: name, user, password })
  await Promise.all([one.connect(), two.connect()])
})

afterEach(async () => {
  await Promise.all([one.end(), two.end()])
  await database[Symbol.asyncDispose]()
})

describe('the state of a slot', () => {
  test('B-9: keeps the records of two instances that record at the same time', async () => {
    let kept = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      const slot = `slot_${round}`
      const store = new SlotStateStore(one, slot)
      await Promise.allSettled([store.markCreated(), new SlotStateStore(two, slot).requestSnapshot('first')])
      const { created, snapshot } = await store.read()
      if (created && snapshot?.id === 'first') kept += 1
    }
    expect(kept).toBe(ROUNDS)
  })

  test('B-9: keeps a snapshot that is requested while an earlier one continues', async () => {
    const store = new SlotStateStore(one, 'tested')
    await store.requestSnapshot('first')
    const partly = { table: 'public.items', after: '7' }
    expect(await store.saveProgress({ id: 'first', done: [], partly })).toBe(true)
    expect((await store.read()).snapshot).toEqual({ id: 'first', done: [], partly })
    await new SlotStateStore(two, 'tested').requestSnapshot('second')
    expect(await store.saveProgress({ id: 'first', done: ['public.items'], partly: null })).toBe(false)
    await store.finishSnapshot('first')
    expect((await store.read()).snapshot).toEqual({ id: 'second', done: [], partly: null })
    await store.finishSnapshot('second')
    expect(await store.read()).toEqual({ created: false, snapshot: null })
  })

  test('B-9: is taken over by the migration from the comment of a publication', async () => {
    const stored = { id: 'b1946ac9', done: ['public.gateways'], partly: { table: 'public.items', after: 'é/1' } }
    const due = { id: '591785b7', done: [], partly: null }
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    await database.sql(`DROP TABLE ponix_cdc_slots; CREATE PUBLICATION tested; CREATE PUBLICATION other;
      COMMENT ON PUBLICATION tested IS 'Ours. [slot first] [snapshot first ${encode(stored)}] [slot second] [snapshot third ${encode(due)}]';
      COMMENT ON PUBLICATION other IS '[slot fourth]'`)
    await database.sql((await migrations()).find((up) => up.includes('CREATE TABLE ponix_cdc_slots')) ?? '')
    const read = (slot: string): Promise<unknown> => new SlotStateStore(one, slot).read()
    expect(await read('first')).toEqual({ created: true, snapshot: stored })
    expect(await read('second')).toEqual({ created: true, snapshot: null })
    expect(await read('third')).toEqual({ created: false, snapshot: due })
    expect(await read('fourth')).toEqual({ created: true, snapshot: null })
    const comments = `SELECT pubname AS name, obj_description(oid, 'pg_publication') AS comment FROM pg_publication
      WHERE pubname IN ('tested', 'other') ORDER BY 1`
    expect(await database.sql(comments)).toEqual([
      { name: 'other', comment: null },
      { name: 'tested', comment: 'Ours.' },
    ])
  })

  test('B-9: is not in the publication', async () => {
    const tables = `SELECT tablename FROM pg_publication_tables WHERE pubname = 'ponix_cdc_publication' ORDER BY 1`
    const published = (await database.sql(tables)).map((row) => row['tablename'])
    expect(published).toEqual(['device_profiles', 'end_devices', 'gateways', 'organizations'])
  })
})

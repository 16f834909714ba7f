import { Client } from 'pg'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { TestDatabase } from '../../../test/rig/adapters/capture-rig.ts'
import { SlotStateStore } from './slot.ts'

const ROUNDS = 50

let database: TestDatabase
let clients: readonly Client[]

beforeEach(async () => {
  database = await TestDatabase.create(inject('postgres'))
  await database.sql('CREATE PUBLICATION tested')
  const { host, port, database: name, username: user, password } = database.server
  clients = [0, 1].map(() => new Client({ host, port, database: name, user, password }))
  await Promise.all(clients.map((client) => client.connect()))
})

afterEach(async () => {
  await Promise.all(clients.map((client) => client.end()))
  await database[Symbol.asyncDispose]()
})

test('B-9: two instances that record the state of a slot at the same time lose no record', async () => {
  let kept = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    const name = { slot: `slot_${round}`, publication: 'tested' }
    const [one, two] = clients.map((client) => new SlotStateStore(client, name))
    const progress = { id: 'first', done: ['public.items'], partly: null }
    await Promise.allSettled([one?.markKnown(), two?.saveSnapshot(progress)])
    const { known, snapshot } = (await one?.read()) ?? {}
    if (known === true && snapshot?.id === 'first') kept += 1
  }
  expect(kept).toBe(ROUNDS)
})

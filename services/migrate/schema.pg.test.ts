import { copyFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { MigrateRig } from '../../test/rig/services/migrate-rig.ts'
import { projectRoot } from '../../test/rig/program.ts'
import { withClient } from '../../test/rig/adapters/test-schema.ts'

let rig: MigrateRig
beforeAll(async () => {
  rig = await MigrateRig.create(inject('postgres'))
  const own = join(projectRoot, 'migrations/postgres')
  for (const name of await readdir(own)) await copyFile(join(own, name), join(rig.folder, name))
  const { stderr } = await rig.run('up')
  if (stderr !== '') throw new Error(stderr)
})
afterAll(() => rig[Symbol.asyncDispose]())

/** Returns the plan that PostgreSQL prefers for large tables: it reads from an index where it can. */
async function planOf(sql: string): Promise<string> {
  return withClient(rig.server, async (client) => {
    for (const way of ['seqscan', 'bitmapscan', 'sort']) await client.query(`SET enable_${way} = off`)
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`)
    return rows.map((row) => row['QUERY PLAN']).join('\n')
  })
}

describe('W-4: the tables of PostgreSQL', () => {
  test('have defaults for timestamps, status, name and configuration', async () => {
    await rig.rows("INSERT INTO organizations (id) VALUES ('org')")
    await rig.rows("INSERT INTO end_devices (device_id, organization_id) VALUES ('dev', 'org')")
    await rig.rows("INSERT INTO gateways (gateway_id, organization_id, gateway_type) VALUES ('gw', 'org', 'emqx')")
    await rig.rows("INSERT INTO device_profiles (profile_id, codec_kind) VALUES ('profile', 'cayenne_lpp')")
    const [organization] = await rig.rows('SELECT *, created_at = updated_at AS fresh FROM organizations')
    expect(organization).toMatchObject({ name: '', status: 'active', deleted_at: null, fresh: true })
    expect(await rig.rows('SELECT name, payload_conversion, external_id, profile_id FROM end_devices')).toEqual([
      { name: '', payload_conversion: '', external_id: '', profile_id: null },
    ])
    expect(await rig.rows('SELECT gateway_config, status, deleted_at FROM gateways')).toEqual([
      { gateway_config: {}, status: 'pending', deleted_at: null },
    ])
  })

  test.each([
    ["INSERT INTO end_devices (device_id, organization_id) VALUES ('x', 'nobody')", 'foreign key'],
    ["INSERT INTO organizations (id, status) VALUES ('x', 'odd')", 'check constraint'],
    ["UPDATE gateways SET gateway_config = '[]'", 'check constraint'],
    ["UPDATE gateways SET status = 'odd'", 'check constraint'],
    ["INSERT INTO organizations (id) VALUES ('')", 'check constraint'],
    ["INSERT INTO organizations (id, retention_days) VALUES ('x', -1)", 'check constraint'],
    ["UPDATE end_devices SET external_id = '70B3D57ED0000001'", 'check constraint'],
    ["DELETE FROM organizations WHERE id = 'org'", 'foreign key'],
    ["INSERT INTO device_profiles (profile_id, codec_kind) VALUES ('x', 'odd')", 'check constraint'],
    ["UPDATE end_devices SET profile_id = 'nothing'", 'foreign key'],
  ])('reject %s by a %s', async (sql, constraint) => {
    await expect(rig.rows(sql)).rejects.toThrow(constraint)
  })

  test.each([['organizations'], ['end_devices'], ['device_profiles'], ['gateways']])(
    'increase updated_at of %s with every update, even within one microsecond',
    async (table) => {
      for (const future of ['0', '1 hour']) {
        await rig.rows(`UPDATE ${table} SET updated_at = now() + interval '${future}'`)
        const [before] = await rig.rows<{ at: string }>(`SELECT updated_at::text AS at FROM ${table}`)
        const [after] = await rig.rows<{ moved: boolean; gap: string }>(
          `UPDATE ${table} SET name = name RETURNING updated_at > '${before?.at}' AS moved`,
        )
        expect(after?.moved).toBe(true)
      }
    },
  )

  test('do not increase updated_at of gateways with their status', async () => {
    const [before] = await rig.rows('SELECT updated_at FROM gateways')
    expect(await rig.rows("UPDATE gateways SET status = 'error' RETURNING updated_at")).toEqual([before])
  })

  test.each([
    [
      'organizations_newest',
      'SELECT * FROM organizations WHERE deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 50',
    ],
    [
      'end_devices_newest',
      "SELECT * FROM end_devices WHERE organization_id = 'org' ORDER BY created_at DESC, device_id DESC LIMIT 50",
    ],
    [
      'end_devices_external_id',
      "SELECT * FROM end_devices WHERE organization_id = 'org' AND external_id = 'x' AND external_id <> ''",
    ],
    [
      'gateways_newest',
      "SELECT * FROM gateways WHERE organization_id = 'org' AND deleted_at IS NULL ORDER BY created_at DESC, gateway_id DESC LIMIT 50",
    ],
    [
      'device_profiles_newest',
      "SELECT * FROM device_profiles WHERE organization_id = 'org' ORDER BY created_at DESC, profile_id DESC LIMIT 50",
    ],
    [
      'device_profiles_shared',
      'SELECT * FROM device_profiles WHERE organization_id IS NULL ORDER BY created_at DESC, profile_id DESC LIMIT 50',
    ],
  ])('list rows sorted by the index %s', async (index, sql) => {
    const plan = await planOf(sql)
    expect(plan).toContain(index)
    expect(plan).not.toContain('Sort')
  })
})

describe('C-1, C-5: the publication for cdc', () => {
  test('covers every table, with REPLICA IDENTITY FULL', async () => {
    const tables = ['device_profiles', 'end_devices', 'gateways', 'organizations']
    const identities = await rig.rows<{ name: string; identity: string }>(
      "SELECT relname AS name, relreplident AS identity FROM pg_class WHERE relname IN ('organizations', 'end_devices', 'device_profiles', 'gateways') ORDER BY 1",
    )
    expect(identities).toEqual(tables.map((name) => ({ name, identity: 'f' })))
    const published = await rig.rows(
      "SELECT tablename FROM pg_publication_tables WHERE pubname = 'ponix_cdc_publication' ORDER BY 1",
    )
    expect(published).toEqual(tables.map((tablename) => ({ tablename })))
  })

  test('E-5: every migration can be reverted and applied again', async () => {
    await rig.rows('TRUNCATE organizations CASCADE')
    const files = await readdir(rig.folder)
    for (const _file of files) expect(await rig.run('down')).toMatchObject({ code: 0, stderr: '' })
    expect(
      await rig.rows("SELECT FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'ponix_migrations'"),
    ).toEqual([])
    expect(await rig.rows('SELECT FROM pg_publication')).toEqual([])
    expect(await rig.run('up')).toMatchObject({ code: 0, stderr: '' })
  })

  test('the publication migration extends an existing publication to all tables', async () => {
    const [, ...allButTheTables] = await readdir(rig.folder)
    for (const _file of allButTheTables) await rig.run('down')
    await rig.rows('CREATE PUBLICATION ponix_cdc_publication FOR TABLE gateways')
    expect(await rig.run('up')).toMatchObject({ code: 0, stderr: '' })
    expect(await rig.rows("SELECT FROM pg_publication_tables WHERE pubname = 'ponix_cdc_publication'")).toHaveLength(4)
  })
})

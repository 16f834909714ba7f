import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { embedded } from '../../../test/rig/program.ts'
import { freePort, startPostgres } from '../../../test/rig/servers.ts'
import type { PostgresAddress } from '../../../test/rig/servers.ts'
import { providePostgres } from './installation.ts'

const isRoot = process.getuid?.() === 0

async function query(address: PostgresAddress, sql: string): Promise<unknown[]> {
  const { username: user, host, port, password, database } = address
  const client = new pg.Client({ user, host, port, password, database })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

function addressAt(port: number): PostgresAddress {
  return { host: '127.0.0.1', port, username: 'ponix', password: 'ponix', database: 'ponix' }
}

describe('embedded PostgreSQL (E-2)', () => {
  let server: Awaited<ReturnType<typeof startPostgres>>
  beforeAll(async () => {
    server = await startPostgres()
  }, 120_000)
  afterAll(() => server[Symbol.asyncDispose]())

  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ponix-postgres-'))
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    await rm(folder, { recursive: true, force: true })
  })

  it('replicates logically, syncs to disk, requires a password and serves only loopback', async () => {
    expect(
      await query(
        server,
        `select current_setting('wal_level') as wal, current_setting('fsync') as fsync,
                current_setting('synchronous_commit') as commit, current_setting('listen_addresses') as listen`,
      ),
    ).toEqual([{ wal: 'logical', fsync: 'on', commit: 'on', listen: '127.0.0.1' }])
    expect(
      await query(server, `select rolsuper, rolreplication, rolcreatedb from pg_roles where rolname = current_user`),
    ).toEqual([{ rolsuper: false, rolreplication: true, rolcreatedb: true }])
    await expect(query({ ...server, password: 'wrong' }, 'select 1')).rejects.toMatchObject({ code: '28P01' })
  })

  it('keeps every committed row after SIGKILL and after a clean stop, repeatedly', async () => {
    await query(server, 'create table kept (round int)')
    for (const [round, end] of (['kill', 'kill', 'stop'] as const).entries()) {
      await query(server, `insert into kept values (${round})`)
      await server[end]()
      await server.start()
      expect(await query(server, 'select count(*)::int as rows from kept')).toEqual([{ rows: round + 1 }])
    }
  })

  it('repeats an interrupted creation of the database', async () => {
    await mkdir(join(folder, 'data.unfinished', 'base'), { recursive: true })
    const port = await freePort()
    const run = embedded(['postgres', '--port', String(port), '--data', folder])
    await run.ready()
    expect(await query(addressAt(port), 'select 1 as one')).toEqual([{ one: 1 }])
    run.signal('SIGTERM')
    await run.outcome
  })

  it('uses other folders for data and programs when its user cannot access the configured folders', async () => {
    const closed = join(folder, 'closed')
    await mkdir(closed, { mode: 0o700 })
    const port = await freePort()
    const run = embedded(['postgres', '--port', String(port), '--data', join(closed, 'postgres')])
    await run.ready()
    const [row] = await query(addressAt(port), 'select pg_postmaster_start_time() is not null as up')
    run.signal('SIGTERM')
    const { stdout } = await run.outcome
    const home = /the data of PostgreSQL is in (\S+), because its user cannot access (\S+)"/.exec(stdout)
    const owner = await stat(join(home?.[1] ?? join(closed, 'postgres'), 'data'))
    if (home?.[1] !== undefined) await rm(join(home[1], '..'), { recursive: true })
    expect(row).toEqual({ up: true })
    expect({ moved: home?.[2], ownedByRoot: owner.uid === 0 }).toEqual({
      moved: isRoot ? join(closed, 'postgres') : undefined,
      ownedByRoot: false,
    })
  })

  it('reports with one line that the data belongs to a version that is not installed', async () => {
    await mkdir(join(folder, 'data'))
    await writeFile(join(folder, 'data', 'PG_VERSION'), '9\n')
    await chmod(folder, 0o755)
    const { code, stdout } = await embedded(['postgres', '--port', String(await freePort()), '--data', folder]).outcome
    expect(code).toBe(1)
    expect(stdout).toContain('the data was created by PostgreSQL 9, which is not on this system: install it, or')
    expect(await readFile(join(folder, 'data', 'PG_VERSION'), 'utf8')).toBe('9\n')
  })

  it.each([
    ['16.1', true],
    ['14.9', false],
  ])("takes the system's PostgreSQL %s if npm's cannot be had: %s", async (version, taken) => {
    await chmod(folder, 0o755)
    for (const program of ['postgres', 'initdb']) await putProgram(program, `echo '${program} (PostgreSQL) ${version}'`)
    await putProgram('npm', 'exit 1')
    vi.stubEnv('PATH', `${folder}:/bin`)
    const provisioning = {
      base: join(folder, 'servers'),
      logger: pino({ level: 'silent' }),
      signal: AbortSignal.timeout(9000),
    }
    const bin = await providePostgres(provisioning, join(folder, 'data'))
    expect(bin === folder).toBe(taken)
  })

  async function putProgram(name: string, line: string): Promise<void> {
    await writeFile(join(folder, name), `#!/bin/sh\n${line}\n`)
    await chmod(join(folder, name), 0o755)
  }
})

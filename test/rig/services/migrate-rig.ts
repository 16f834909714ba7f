import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { builtProgram, Program, type Outcome } from '../program.ts'
import { dropDatabase, withClient, type TestServer } from '../adapters/test-schema.ts'

/** An empty database, an empty folder of migrations, and the built program to run on both. */
export class MigrateRig implements AsyncDisposable {
  readonly folder: string
  readonly server: TestServer
  readonly #admin: TestServer

  private constructor(admin: TestServer, database: string, folder: string) {
    this.#admin = admin
    this.server = { ...admin, database }
    this.folder = folder
  }

  static async create(admin: TestServer): Promise<MigrateRig> {
    const database = `migrate_${randomBytes(6).toString('hex')}`
    await withClient(admin, (client) => client.query(`CREATE DATABASE ${database}`))
    return new MigrateRig(admin, database, await mkdtemp(join(tmpdir(), 'ponix-migrate-')))
  }

  /** Writes a migration; `up` begins in line 2. */
  async file(name: string, up: string, down = 'SELECT 1'): Promise<void> {
    await writeFile(join(this.folder, `${name}.sql`), `-- migrate:up\n${up};\n-- migrate:down\n${down};\n`)
  }

  /** Runs ponix-migrate for PostgreSQL alone. */
  async run(command: string, ...flags: readonly string[]): Promise<Outcome> {
    const { host, port, username, password, database } = this.server
    const env = {
      PATH: process.env['PATH'] ?? '',
      PONIX_POSTGRES_HOST: host,
      PONIX_POSTGRES_PORT: String(port),
      PONIX_POSTGRES_USERNAME: username,
      PONIX_POSTGRES_PASSWORD: password,
      PONIX_POSTGRES_DATABASE: database,
      PONIX_POSTGRES_MIGRATIONS_DIR: this.folder,
      PONIX_STARTUP_TIMEOUT_SECS: '5',
    }
    const args = [builtProgram('migrate'), command, '--target', 'postgres', ...flags]
    return new Program(process.execPath, args, { env }).outcome
  }

  async rows<R extends object>(sql: string): Promise<R[]> {
    return withClient(this.server, async (client) => (await client.query<R>(sql)).rows)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await withClient(this.#admin, (client) => dropDatabase(client, this.server.database))
    await rm(this.folder, { recursive: true })
  }
}

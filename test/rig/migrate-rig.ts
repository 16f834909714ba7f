import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withClient, type TestServer } from './test-schema.ts'

export const packageFolder = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** How a run of the program ended. */
export interface Run {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** An empty database and a folder of migrations of its own, and the built program to run on both. */
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
  async run(command: string, ...flags: readonly string[]): Promise<Run> {
    const { host, port, username, password, database } = this.server
    const program = join(packageFolder, 'dist/migrate.js')
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
    return new Promise((resolve) => {
      const args = [program, command, '--target', 'postgres', ...flags]
      execFile(process.execPath, args, { env }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
      })
    })
  }

  async rows<R extends object>(sql: string): Promise<R[]> {
    return withClient(this.server, async (client) => (await client.query<R>(sql)).rows)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await withClient(this.#admin, (client) => client.query(`DROP DATABASE ${this.server.database} WITH (FORCE)`))
    await rm(this.folder, { recursive: true })
  }
}

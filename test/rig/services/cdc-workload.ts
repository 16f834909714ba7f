import { Client } from 'pg'
import { parseLsn, type Lsn } from '../../../src/postgres/replication/change.ts'
import type { PostgresServer } from '../../../src/postgres/database.ts'
import type { Random } from './random.ts'

/** A committed change, identified in the same way by the database's record and by the event. */
export interface CommittedChange {
  /** `gateway.update gw7 name42`: subject, key, and the unique name after the change. */
  readonly identity: string
  /** `gateway gw7` */
  readonly row: string
  readonly name: string
  readonly xid: string
}

interface WorkTable {
  readonly entity: string
  readonly table: string
  readonly key: string
  readonly columns: string
  /** Values of the further columns. */
  readonly more: string
}

const TABLES: readonly [WorkTable, ...WorkTable[]] = [
  { entity: 'organization', table: 'organizations', key: 'id', columns: '(id, name)', more: '' },
  {
    entity: 'gateway',
    table: 'gateways',
    key: 'gateway_id',
    columns: `(gateway_id, name, organization_id, gateway_type)`,
    more: `, 'root', 'print'`,
  },
  {
    entity: 'end_device',
    table: 'end_devices',
    key: 'device_id',
    columns: '(device_id, name, organization_id)',
    more: `, 'root'`,
  },
]

const KEYS = 12

/** Triggers record each change in its own transaction; the events are compared with this record. */
const RECORD = `
  CREATE TABLE record (place bigserial PRIMARY KEY, xid text, entity text, action text, key text, name text);
  CREATE FUNCTION keep_record() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE whole jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
  BEGIN
    INSERT INTO record (xid, entity, action, key, name) VALUES (pg_current_xact_id()::text, TG_ARGV[0],
      CASE TG_OP WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'update' ELSE 'delete' END, whole ->> TG_ARGV[1], whole ->> 'name');
    RETURN NULL;
  END $$;
  ${TABLES.map(({ entity, table, key }) => `CREATE TRIGGER record AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION keep_record('${entity}', '${key}');`).join('\n')}
  INSERT INTO organizations (id, name) VALUES ('root', 'root')`

/** Random concurrent transactions on several connections, over three tables with few keys. */
export class CdcWorkload implements AsyncDisposable {
  /** For each transaction id, a position after its commit. */
  readonly committedBefore = new Map<string, Lsn>()
  readonly #clients: readonly Client[]
  readonly #random: Random
  #names = 0

  private constructor(clients: readonly Client[], random: Random) {
    this.#clients = clients
    this.#random = random
  }

  static async open(server: PostgresServer, connections: number, random: Random): Promise<CdcWorkload> {
    const { host, port, database, username, password } = server
    const clients = Array.from(
      { length: connections },
      () => new Client({ host, port, database, user: username, password }),
    )
    await Promise.all(clients.map((client) => client.connect()))
    await clients[0]?.query(RECORD)
    return new CdcWorkload(clients, random)
  }

  /** Runs the number of transactions on each connection. */
  async run(transactions: number): Promise<void> {
    await Promise.all(
      this.#clients.map(async (client) => {
        for (let left = transactions; left > 0; left -= 1) await this.#transaction(client)
      }),
    )
  }

  /** Returns all committed changes, in commit order per row. */
  async committed(): Promise<readonly CommittedChange[]> {
    const result = await this.#clients[0]?.query<CommittedChange>(
      `SELECT entity || '.' || action || ' ' || key || ' ' || name AS identity, entity || ' ' || key AS row, name, xid
       FROM record ORDER BY place`,
    )
    return result?.rows ?? []
  }

  /** Returns the existing rows, such as `gateway gw7`, with their names. */
  async present(): Promise<ReadonlyMap<string, string>> {
    const each = TABLES.map(({ entity, table, key }) => `SELECT '${entity} ' || ${key} AS row, name FROM ${table}`)
    const result = await this.#clients[0]?.query<{ row: string; name: string }>(each.join(' UNION ALL '))
    return new Map((result?.rows ?? []).map(({ row, name }) => [row, name]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end()))
  }

  async #transaction(client: Client): Promise<void> {
    const random = this.#random
    await client.query('BEGIN')
    try {
      for (let left = 1 + random.below(6); left > 0; left -= 1) {
        const rollsBack = random.chance(0.1)
        if (rollsBack) await client.query('SAVEPOINT before')
        await client.query(this.#statement())
        if (rollsBack) await client.query('ROLLBACK TO before')
      }
      if (random.chance(0.1)) return void (await client.query('ROLLBACK'))
      await this.#commit(client)
    } catch (error) {
      await client.query('ROLLBACK')
      // PostgreSQL cancels one of two deadlocked transactions.
      if (!(error instanceof Error && 'code' in error && error.code === '40P01')) throw error
    }
  }

  async #commit(client: Client): Promise<void> {
    const { rows } = await client.query<{ xid: string | null }>('SELECT pg_current_xact_id_if_assigned()::text AS xid')
    await client.query('COMMIT')
    const xid = rows[0]?.xid ?? null
    if (xid === null) return
    const end = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn')
    this.committedBefore.set(xid, parseLsn(end.rows[0]?.lsn ?? ''))
  }

  #statement(): string {
    const random = this.#random
    const { table, key, columns, more } = random.pick(...TABLES)
    const id = `k${random.below(KEYS)}`
    const name = `n${(this.#names += 1)}`
    const insert = `INSERT INTO ${table} ${columns} VALUES ('${id}', '${name}'${more}) ON CONFLICT DO NOTHING`
    const update = `UPDATE ${table} SET name = '${name}' WHERE ${key} = '${id}'`
    const several = `UPDATE ${table} SET name = '${name}-' || ${key} WHERE ${key} IN ('${id}', 'k0', 'k1')`
    const remove = `DELETE FROM ${table} WHERE ${key} = '${id}'`
    return random.pick(insert, insert, update, update, several, remove)
  }
}

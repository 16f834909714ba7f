import type { CallOptions } from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'

const STREAMS: Statement = {
  name: 'capture_streams',
  text: 'SELECT active FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()',
}

/** Whether somebody makes events of committed changes now. */
export interface CaptureActivity {
  /** Rejects when the store does not answer. */
  isActive(options?: CallOptions): Promise<boolean>
}

/** Change data capture as its replication slot shows it. */
export class PostgresCaptureActivity implements CaptureActivity {
  readonly #database: PostgresDatabase
  readonly #slot: string

  constructor(database: PostgresDatabase, slot: string) {
    this.#database = database
    this.#slot = slot
  }

  async isActive(options?: CallOptions): Promise<boolean> {
    const [slot] = await this.#database.query<{ active: boolean }>(STREAMS, [this.#slot], options)
    return slot?.active === true
  }
}

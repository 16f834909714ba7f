import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listen, type ServerOptions } from '../server.ts'
import { Engine } from './engine.ts'
import { HttpInterface } from './http-interface.ts'
import { identifier } from './execution.ts'

const GRACE_MS = 8000

/**
 * Runs the engine of chdb on its data in `path`, in this process and behind ClickHouse's HTTP interface. Serves until the signal
 * aborts; then finishes running requests and closes the data folder.
 */
export async function runChdb(options: ServerOptions, path: string, signal: AbortSignal): Promise<void> {
  await mkdir(path, { recursive: true })
  const spoolDir = await openSpool(options.dataDir)
  const engine = await Engine.open(options.provisionDir, path, signal)
  const http = new HttpInterface({ ...options, engine, spoolDir })
  try {
    await createDatabase(engine, options.database)
    await listen(http.server, options.port, 'ClickHouse', 'PONIX_CLICKHOUSE_PORT')
    options.logger.debug({ version: engine.version }, 'the engine is open')
    options.ready()
    if (!signal.aborted) await once(signal, 'abort')
  } finally {
    await http.stop(GRACE_MS)
    engine.close()
    await rm(spoolDir, { recursive: true, force: true })
  }
}

/** Creates an empty folder for insert data. Data of a killed server was never acknowledged. */
async function openSpool(dataDir: string): Promise<string> {
  // The engine treats these characters in the name of a data file as a pattern.
  if (/[*?{}]/.test(dataDir)) return mkdtemp(join(tmpdir(), 'ponix-clickhouse-'))
  const dir = join(dataDir, 'spool')
  await rm(dir, { recursive: true, force: true })
  await mkdir(dir, { recursive: true })
  return dir
}

async function createDatabase(engine: Engine, database: string): Promise<void> {
  const connection = engine.connect()
  try {
    await connection.query(`CREATE DATABASE IF NOT EXISTS ${identifier(database)}`, 'Null')
  } finally {
    connection.close()
  }
}

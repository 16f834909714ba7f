import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { ServerError } from '../../../src/domain/errors.ts'

/** A connection of the engine: settings, current database, temporary tables of its own. Opaque. */
export interface ConnectionHandle {
  readonly kind: unique symbol
}

/** A result on its way. Opaque. */
export interface StreamHandle {
  readonly kind: unique symbol
}

export interface NativeResult {
  readonly bytes: Uint8Array
  /** Seconds. */
  readonly elapsed: number
  readonly rowsRead: number
  readonly bytesRead: number
}

export interface NativeChunk {
  readonly bytes: Uint8Array
  readonly numRows: number
  readonly done: boolean
}

/**
 * The part of chdb's addon that is used. The package's own Session is left aside: it delays closing a connection until no
 * query runs in the whole process, and takes inserts in a few text formats only.
 */
export interface NativeEngine {
  /** Opens the folder with the first connection; blocks. Throws a message without the cause, which goes to stderr. */
  CreateConnection(path: string): ConnectionHandle
  /** Must not be called while something runs on the connection. The last one closes the folder. */
  CloseConnection(connection: ConnectionHandle): void
  /** On a thread of Node's pool. One after another on one connection. */
  QueryAsyncConnection(connection: ConnectionHandle, sql: string, format: string): Promise<NativeResult>
  /** Blocks. */
  QueryWithConnection(connection: ConnectionHandle, sql: string, format: string): string
  StreamQuery(connection: ConnectionHandle, sql: string, format: string): StreamHandle
  StreamFetch(stream: StreamHandle): Promise<NativeChunk>
  /** Blocks while a fetch is under way. */
  StreamCancel(stream: StreamHandle): void
}

/** Loads chdb from where it was installed. */
export function loadEngine(provisionDir: string): NativeEngine {
  const manifest = join(provisionDir, 'node_modules/chdb/package.json')
  if (!existsSync(manifest)) {
    throw new ServerError(`the ClickHouse engine (npm package chdb) is not installed in ${provisionDir}`)
  }
  try {
    // The package's exports hide the loader, but not from an absolute path.
    const loader: { loadNative(): NativeEngine } = createRequire(manifest)(join(dirname(manifest), 'dist/loader.js'))
    return loader.loadNative()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServerError(`the ClickHouse engine does not run on this system: ${reason}`, { cause: error })
  }
}

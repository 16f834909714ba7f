import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError, messageOf } from '../../../src/domain/errors.ts'
import { ClickHouseException } from './exception.ts'

/** A connection of the engine, with its own settings, current database and temporary tables. */
interface ConnectionHandle {
  readonly kind: unique symbol
}

/** A running result stream. */
interface StreamHandle {
  readonly kind: unique symbol
}

export interface NativeResult {
  readonly bytes: Uint8Array
  /** Seconds. */
  readonly elapsed: number
  readonly rowsRead: number
  readonly bytesRead: number
}

interface NativeChunk {
  readonly bytes: Uint8Array
  readonly numRows: number
  readonly done: boolean
}

/**
 * The used part of chdb's addon. The package's Session is not used: it delays closing a connection until no query runs in the
 * whole process, and accepts inserts in a few text formats only.
 */
interface NativeEngine {
  /** The first connection opens the folder. Blocks. Throws without the cause, which is written to stderr. */
  CreateConnection(path: string): ConnectionHandle
  /** Must not be called while a query runs on the connection. The last connection closes the folder. */
  CloseConnection(connection: ConnectionHandle): void
  /** Runs on a thread of Node's pool. Calls on one connection must not overlap. */
  QueryAsyncConnection(connection: ConnectionHandle, sql: string, format: string): Promise<NativeResult>
  /** Blocks. */
  QueryWithConnection(connection: ConnectionHandle, sql: string, format: string): string
  StreamQuery(connection: ConnectionHandle, sql: string, format: string): StreamHandle
  StreamFetch(stream: StreamHandle): Promise<NativeChunk>
  /** Blocks while a fetch runs. */
  StreamCancel(stream: StreamHandle): void
}

/** Loads the installed chdb. */
function loadEngine(provisionDir: string): NativeEngine {
  const manifest = join(provisionDir, 'node_modules/chdb/package.json')
  if (!existsSync(manifest)) {
    throw new StartupError(
      `the ClickHouse engine (npm package chdb) is not installed in ${provisionDir}; run: ponix-embedded install clickhouse`,
    )
  }
  try {
    // The package does not export the loader, so it is loaded by its absolute path.
    const loader: { loadNative(): NativeEngine } = createRequire(manifest)(join(dirname(manifest), 'dist/loader.js'))
    return loader.loadNative()
  } catch (error) {
    throw new StartupError(`the ClickHouse engine does not run on this system: ${messageOf(error)}`, { cause: error })
  }
}

/** Limits concurrent work; further work waits in a bounded queue. */
export class Slots {
  readonly #waiting: (() => void)[] = []
  readonly #maxWaiting: number
  #free: number

  constructor(size: number, maxWaiting: number) {
    this.#free = size
    this.#maxWaiting = maxWaiting
  }

  /** Waits for a slot and runs the work. Throws TOO_MANY_SIMULTANEOUS_QUERIES immediately if the queue is full. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#acquire(signal)
    try {
      signal?.throwIfAborted()
      return await work()
    } finally {
      this.#release()
    }
  }

  async #acquire(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (this.#free > 0) {
      this.#free--
      return
    }
    if (this.#waiting.length >= this.#maxWaiting) {
      const message = `Too many simultaneous queries: ${this.#waiting.length} are already waiting. Try again later`
      throw new ClickHouseException(202, 'TOO_MANY_SIMULTANEOUS_QUERIES', message)
    }
    await new Promise<void>((resolve, reject) => {
      const turn = (): void => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', leave, { once: true })
      this.#waiting.push(turn)
    })
  }

  #release(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free++
    else next()
  }
}

/** The maximum wait for an exiting process that still locks the folder. */
const LOCK_TIMEOUT_MS = 10_000
const MAX_WAITING = 4096

/** The ClickHouse engine on its data folder. Encapsulates which of its calls may overlap. */
export class Engine {
  readonly version: string
  readonly timezone: string
  readonly native: NativeEngine
  readonly slots = new Slots(threads(), MAX_WAITING)
  readonly #path: string
  /** Keeps the folder open and kills queries of other connections. */
  readonly #control: ConnectionHandle

  private constructor(native: NativeEngine, path: string) {
    this.native = native
    this.#path = path
    this.#control = native.CreateConnection(path)
    const sql = 'SELECT version(), timezone()'
    const [version = '', timezone = 'UTC'] = native
      .QueryWithConnection(this.#control, sql, 'TabSeparated')
      .trim()
      .split('\t')
    this.version = version
    this.timezone = timezone
  }

  /** Opens the folder; waits up to 10 s for a process that still locks it. Throws a StartupError. */
  static async open(provisionDir: string, path: string, signal: AbortSignal): Promise<Engine> {
    const native = loadEngine(provisionDir)
    const deadline = performance.now() + LOCK_TIMEOUT_MS
    for (;;) {
      const holder = await lockHolder(path)
      try {
        return new Engine(native, path)
      } catch (error) {
        if (holder === undefined) {
          throw new StartupError(
            `ClickHouse cannot open its data in ${path}; see the engine's message on stderr above`,
            {
              cause: error,
            },
          )
        }
        if (performance.now() > deadline) {
          throw new StartupError(`the data of ClickHouse in ${path} is in use by process ${holder}; stop it first`, {
            cause: error,
          })
        }
      }
      await sleep(100, undefined, { signal })
    }
  }

  connect(): EngineConnection {
    return new EngineConnection(this, this.native.CreateConnection(this.#path))
  }

  /** Closes the folder. Every connection must be closed first. */
  close(): void {
    this.native.CloseConnection(this.#control)
  }

  /** Kills a connection's query. Blocks for some milliseconds: an asynchronous kill would wait for a thread that the query occupies. */
  kill(marker: string): void {
    const sql = `KILL QUERY WHERE Settings['log_comment'] = '${marker}' ASYNC`
    this.native.QueryWithConnection(this.#control, sql, 'Null')
  }
}

/** One connection of the engine. Its calls must not overlap. */
export class EngineConnection {
  /** Value of `log_comment` by which an abort finds the running query. */
  readonly marker = randomUUID()
  readonly #engine: Engine
  readonly #handle: ConnectionHandle

  constructor(engine: Engine, handle: ConnectionHandle) {
    this.#engine = engine
    this.#handle = handle
  }

  /** Runs statements and returns the whole result of the last one. An abort kills the running query, which then rejects. */
  async query(sql: string, format: string, signal?: AbortSignal): Promise<NativeResult> {
    return this.#run(() => this.#engine.native.QueryAsyncConnection(this.#handle, sql, format), signal)
  }

  /** Yields the result of one SELECT in chunks, which are produced on demand. */
  async *stream(sql: string, format: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const { native } = this.#engine
    const stream = native.StreamQuery(this.#handle, sql, format)
    let open = true
    try {
      for (;;) {
        const chunk = await this.#run(() => native.StreamFetch(stream), signal)
        open = !chunk.done
        if (!open) return
        if (chunk.bytes.length > 0) yield chunk.bytes
      }
    } finally {
      try {
        if (open) native.StreamCancel(stream)
      } catch {
        // A failed stream has already ended.
      }
    }
  }

  close(): void {
    this.#engine.native.CloseConnection(this.#handle)
  }

  /** Runs the work in a slot; an abort kills its query. */
  #run<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return this.#engine.slots.run(async () => {
      let again: NodeJS.Timeout | undefined
      const kill = (): void => {
        this.#engine.kill(this.marker)
        // Repeat the kill for a query that had not started yet.
        again = setTimeout(kill, 100)
      }
      signal?.addEventListener('abort', kill, { once: true })
      try {
        return await work()
      } finally {
        clearTimeout(again)
        signal?.removeEventListener('abort', kill)
      }
    }, signal)
  }
}

/** Returns the number of threads for the engine, which uses Node's pool; one thread is left for files and compression. */
function threads(): number {
  return Math.max(1, Number(process.env['UV_THREADPOOL_SIZE'] ?? 4) - 1)
}

/** Returns the running process that locks the folder; the lock of an ended process is void. */
async function lockHolder(path: string): Promise<number | undefined> {
  const status = await readFile(join(path, 'status'), 'utf8').catch(() => '')
  const pid = Number(/^PID: (\d+)$/m.exec(status)?.[1] ?? NaN)
  if (Number.isNaN(pid) || pid === process.pid) return undefined
  try {
    process.kill(pid, 0)
    return pid
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM' ? pid : undefined
  }
}

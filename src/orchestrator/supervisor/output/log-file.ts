import { EventEmitter } from 'node:events'
import { constants } from 'node:fs'
import { mkdir, open, rename, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { codeOf, systemReason } from '../../config/errors.ts'
import type { LogFileSettings } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../events.ts'
import { sleep } from '../timers.ts'
import type { BackPressure } from './stream-relay.ts'

/** The log files of all processes. */
export class LogFiles {
  readonly #files = new Map<string, LogFile>()
  readonly #emit: (event: SupervisorEvent) => void

  constructor(emit: (event: SupervisorEvent) => void) {
    this.#emit = emit
  }

  /** True if everything is written, or nothing can be written. */
  get areIdle(): boolean {
    return [...this.#files.values()].every((file) => file.isIdle)
  }

  /** Total bytes written to the open files; a change of it is progress. */
  get written(): number {
    return [...this.#files.values()].reduce((sum, file) => sum + file.written, 0)
  }

  /** Returns the problems of the log file of a process; null if none has been opened. */
  problemsOf(name: string): LogFileProblems | null {
    return this.#files.get(name)?.problems ?? null
  }

  /** Returns the log file of a process; its children share one file as long as the settings do not change. */
  of(name: string, settings: LogFileSettings): LogFile {
    const known = this.#files.get(name)
    if (known !== undefined && isDeepStrictEqual(known.settings, settings)) return known
    known?.end()
    const file = new LogFile(name, settings, this.#emit)
    this.#files.set(name, file)
    return file
  }

  /** Closes the files of all other processes. */
  retain(names: readonly string[]): void {
    for (const [name, file] of this.#files) {
      if (names.includes(name)) continue
      this.#files.delete(name)
      file.end()
    }
  }

  close(): void {
    for (const file of this.#files.values()) file.close()
  }
}

/** The problems of a log file since it was first opened with its settings. */
export interface LogFileProblems {
  /** The reason why it cannot be written now; null if it can. */
  readonly reason: string | null
  /** Failed attempts to write. */
  readonly errors: number
  /** Lines that were dropped. */
  readonly lostLines: number
}

/** The limit of unwritten bytes above which the process is paused. */
const FULL_BYTES = 1024 * 1024
const WRITE_BYTES = 256 * 1024
const RETRY_MS = 1000
/** Retry delay for a pipe whose reader is slow. */
const BUSY_MS = 20
/** The least time between two checks whether the path is still that of the open file. */
const CHECK_MS = 1000
const NEWLINE = 0x0a
/** The mode of a new file: output of processes can contain secrets. */
const NEW_FILE_MODE = 0o600
const PERMISSIONS = 0o777
/** Flags to open a file. O_NONBLOCK, because opening a pipe without a reader would block a thread. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

/**
 * The log file of one process. Rotates at its size limit: `path` becomes `path.1`, that `path.2`, and so on; only regular
 * files are rotated, and the new file has the mode of the old one. A full disk does not stop the process: while writing fails, up to
 * 1 MiB is buffered, and further lines are dropped and counted. Emits an event when an outage begins and when it ends. A file that
 * something else removes or renames is created again.
 */
export class LogFile implements BackPressure {
  readonly settings: LogFileSettings
  readonly #process: string
  readonly #emit: (event: SupervisorEvent) => void
  readonly #over = new AbortController()
  readonly #drained = new EventEmitter().setMaxListeners(0)
  #queue: Buffer[] = []
  #head: Buffer = Buffer.alloc(0)
  #pending = 0
  #written = 0
  #handle: FileHandle | null = null
  #size = 0
  #isRegular = true
  /** True if the last write ended within a line, the rest of which must go to the same file. */
  #isWithinLine = false
  #isWriting = false
  #reason: string | null = null
  #isEnding = false
  #errors = 0
  #lostLines = 0
  /** Lines that were dropped in the current outage. */
  #lostNow = 0
  /** The permissions of the file, which the next one gets. */
  #mode = NEW_FILE_MODE
  #isRotated = false
  /** The identity of the open file. */
  #identity = ''
  #checkedAt = 0

  constructor(process: string, settings: LogFileSettings, emit: (event: SupervisorEvent) => void) {
    this.#process = process
    this.settings = settings
    this.#emit = emit
  }

  get problems(): LogFileProblems {
    return { reason: this.#reason, errors: this.#errors, lostLines: this.#lostLines }
  }

  get #isFailing(): boolean {
    return this.#reason !== null
  }

  get isFull(): boolean {
    return !this.#isFailing && !this.#over.signal.aborted && this.#pending >= FULL_BYTES
  }

  /** True if everything is written, or nothing can be written. */
  get isIdle(): boolean {
    return this.#pending === 0 || this.#isFailing || this.#over.signal.aborted
  }

  /** Total bytes written. */
  get written(): number {
    return this.#written
  }

  /** Appends whole lines, joined by newlines, as a latin1 string. */
  append(lines: string): void {
    if (this.#over.signal.aborted) return
    if (this.#isFailing && this.#pending + lines.length >= FULL_BYTES) {
      this.#lose(lines.split('\n').length)
      return
    }
    const bytes = Buffer.from(`${lines}\n`, 'latin1')
    this.#queue.push(bytes)
    this.#pending += bytes.length
    if (!this.#isWriting) void this.#writeAll()
  }

  onceDrained(resume: () => void): void {
    this.#drained.once('drained', resume)
  }

  /** Closes the file as soon as everything is written, or immediately if nothing can be written. */
  end(): void {
    this.#isEnding = true
    if (this.isIdle) this.close()
  }

  /** Closes the file. Unwritten lines are lost. */
  close(): void {
    if (this.#over.signal.aborted) return
    this.#over.abort()
    this.#drained.emit('drained')
    if (!this.#isWriting) void this.#finish()
  }

  /** Closes the handle and reports the lines that are lost. */
  async #finish(): Promise<void> {
    const unwritten = Buffer.concat([this.#head, ...this.#queue.splice(0)])
    this.#head = Buffer.alloc(0)
    this.#pending = 0
    this.#lose(unwritten.reduce((count, byte) => (byte === NEWLINE ? count + 1 : count), 0))
    const { path } = this.settings
    const lostLines = this.#lostNow
    this.#lostNow = 0
    if (lostLines > 0) this.#emit({ type: 'log_file_closed', process: this.#process, path, lostLines })
    await this.#closeHandle()
  }

  #lose(lines: number): void {
    this.#lostLines += lines
    this.#lostNow += lines
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true
    while (this.#pending > 0 && !this.#over.signal.aborted) {
      try {
        await this.#writeSome()
      } catch (error) {
        await this.#handleError(error)
      }
    }
    this.#isWriting = false
    if (this.#over.signal.aborted) await this.#finish()
    else if (this.#isEnding) this.close()
  }

  async #writeSome(): Promise<void> {
    await this.#closeIfMoved()
    this.#handle ??= await this.#open()
    this.#fillHead()
    const length = this.#pieceLength()
    if (length === 0) {
      await this.#rotate()
      return
    }
    const { bytesWritten } = await this.#handle.write(this.#head, 0, length)
    if (bytesWritten > 0) this.#isWithinLine = this.#head[bytesWritten - 1] !== NEWLINE
    this.#head = this.#head.subarray(bytesWritten)
    this.#pending -= bytesWritten
    this.#size += bytesWritten
    this.#written += bytesWritten
    if (bytesWritten === length) this.#recover()
    if (this.#pending <= FULL_BYTES / 2) this.#drained.emit('drained')
  }

  /** Coalesces small pieces into one write. */
  #fillHead(): void {
    if (this.#head.length > 0) return
    let length = 0
    const count = this.#queue.findIndex((bytes) => (length += bytes.length) >= WRITE_BYTES) + 1
    const [first = this.#head, ...more] = this.#queue.splice(0, count === 0 ? this.#queue.length : count)
    this.#head = more.length === 0 ? first : Buffer.concat([first, ...more])
  }

  /** Returns the length of the next write: the whole lines that fit into this file; 0 if it must be rotated first. */
  #pieceLength(): number {
    const lineLength = this.#head.indexOf(NEWLINE) + 1
    if (this.#isWithinLine) return lineLength
    if (!this.#isRegular) return this.#head.length
    const room = this.settings.maxSize - this.#size
    if (this.#head.length <= room) return this.#head.length
    const fitting = room <= 0 ? 0 : this.#head.lastIndexOf(NEWLINE, room - 1) + 1
    // A line longer than the limit fills a file alone.
    return fitting > 0 || this.#size > 0 ? fitting : lineLength
  }

  async #open(): Promise<FileHandle> {
    const { path } = this.settings
    await mkdir(dirname(path), { recursive: true })
    const handle = await open(path, FLAGS, NEW_FILE_MODE)
    try {
      const found = await handle.stat()
      this.#isRegular = found.isFile()
      this.#size = this.#isRegular ? found.size : 0
      this.#identity = identityOf(found)
      this.#checkedAt = performance.now()
      if (this.#isRotated && this.#isRegular) await handle.chmod(this.#mode)
      else this.#mode = found.mode & PERMISSIONS
      this.#isRotated = false
      if (this.#size > 0 && !this.#isWithinLine && (await endsWithinLine(path, found.size))) {
        // The previous writer was killed within a line.
        this.#size += (await handle.write(Buffer.of(NEWLINE))).bytesWritten
      }
      return handle
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Closes the file if something else has removed or renamed it. */
  async #closeIfMoved(): Promise<void> {
    const now = performance.now()
    if (this.#handle === null || !this.#isRegular || this.#isWithinLine || now - this.#checkedAt < CHECK_MS) return
    this.#checkedAt = now
    const found = await stat(this.settings.path).catch(() => null)
    if (found === null || identityOf(found) !== this.#identity) await this.#closeHandle()
  }

  async #rotate(): Promise<void> {
    const { path, maxFiles } = this.settings
    await this.#closeHandle()
    for (let number = maxFiles; number > 1; number--) await renameIfThere(`${path}.${number - 1}`, `${path}.${number}`)
    await renameIfThere(path, `${path}.1`)
    this.#isRotated = true
  }

  async #handleError(error: unknown): Promise<void> {
    if (codeOf(error) === 'EAGAIN') {
      await sleep(BUSY_MS, this.#over.signal)
      return
    }
    await this.#closeHandle()
    const { path } = this.settings
    const reason = systemReason(error)
    if (!this.#isFailing) this.#emit({ type: 'log_file_failed', process: this.#process, path, reason })
    this.#reason = reason
    this.#errors++
    this.#drained.emit('drained')
    if (this.#isEnding) this.close()
    else await sleep(RETRY_MS, this.#over.signal)
  }

  #recover(): void {
    if (!this.#isFailing) return
    this.#reason = null
    const { path } = this.settings
    this.#emit({ type: 'log_file_resumed', process: this.#process, path, lostLines: this.#lostNow })
    this.#lostNow = 0
  }

  async #closeHandle(): Promise<void> {
    const handle = this.#handle
    this.#handle = null
    // Some file systems report a full disk only on close.
    await handle?.close().catch(() => undefined)
  }
}

function identityOf({ dev, ino }: { readonly dev: number; readonly ino: number }): string {
  return `${dev} ${ino}`
}

/** Returns whether a file ends within a line; false if it cannot be read. */
async function endsWithinLine(path: string, size: number): Promise<boolean> {
  const handle = await open(path, constants.O_RDONLY).catch(() => null)
  if (handle === null) return false
  try {
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1)
    return buffer[0] !== NEWLINE
  } finally {
    await handle.close()
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

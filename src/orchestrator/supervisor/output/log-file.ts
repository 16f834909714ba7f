import { constants } from 'node:fs'
import { mkdir, open, rename, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf, messageOf } from '../../config/errors.ts'
import type { LogFileSettings } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../events.ts'
import { sleep } from '../timers.ts'
import type { Room } from './stream-relay.ts'

/** The log files of all processes that have one. */
export class LogFiles {
  readonly #files = new Map<string, LogFile>()
  readonly #emit: (event: SupervisorEvent) => void

  constructor(emit: (event: SupervisorEvent) => void) {
    this.#emit = emit
  }

  /** Nothing waits to be written, or nothing can be. */
  get areIdle(): boolean {
    return [...this.#files.values()].every((file) => file.isIdle)
  }

  /** Bytes written, ever, to those that are open. */
  get written(): number {
    return [...this.#files.values()].reduce((sum, file) => sum + file.written, 0)
  }

  /** The same one for all children of a process, as long as its settings stay the same. */
  of(process: string, settings: LogFileSettings): LogFile {
    const known = this.#files.get(process)
    if (known !== undefined && isSame(known.settings, settings)) return known
    known?.end()
    const { path } = settings
    const file = new LogFile(settings, {
      onFailed: (reason) => this.#emit({ type: 'log_file_failed', process, path, reason }),
      onResumed: (lostLines) => this.#emit({ type: 'log_file_resumed', process, path, lostLines }),
    })
    this.#files.set(process, file)
    return file
  }

  /** Lets go of those of other processes. */
  keep(processes: readonly string[]): void {
    for (const [process, file] of this.#files) {
      if (processes.includes(process)) continue
      this.#files.delete(process)
      file.end()
    }
  }

  close(): void {
    for (const file of this.#files.values()) file.close()
  }
}

function isSame(a: LogFileSettings, b: LogFileSettings): boolean {
  return a.path === b.path && a.maxSize === b.maxSize && a.maxFiles === b.maxFiles
}

/** With this much not yet written, the process is paused. */
const FULL_BYTES = 1024 * 1024
const WRITE_BYTES = 256 * 1024
/** So often a file that cannot be written to is tried again. */
const RETRY_MS = 1000
/** A pipe whose reader is slow has room again after a moment. */
const BUSY_MS = 20
const NEWLINE = 0x0a
/** A pipe without a reader must not hold a thread of ours. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

export interface LogFileListener {
  /** It cannot be written to; said once until it can again. */
  onFailed(reason: string): void
  /** It can be written to again; this many lines are missing in it. */
  onResumed(lostLines: number): void
}

/**
 * The log file of one process: whole lines are appended as they are. A file that would grow larger than its limit becomes
 * `path.1`, that one `path.2`, and so on; what is no regular file is never renamed. While it cannot be written to, 1 MiB
 * waits, and what comes beyond that is left out and counted: a full disk stops no process.
 */
export class LogFile implements Room {
  readonly settings: LogFileSettings
  readonly #listener: LogFileListener
  readonly #over = new AbortController()
  readonly #waiting = new Set<() => void>()
  #queue: Buffer[] = []
  #head: Buffer = Buffer.alloc(0)
  #pending = 0
  #written = 0
  #handle: FileHandle | null = null
  #size = 0
  #isRegular = true
  /** The last write ended within a line: the rest of it belongs to the same file. */
  #isWithinLine = false
  #isWriting = false
  #isFailing = false
  #isEnding = false
  #lostLines = 0

  constructor(settings: LogFileSettings, listener: LogFileListener) {
    this.settings = settings
    this.#listener = listener
  }

  get isFull(): boolean {
    return !this.#isFailing && !this.#over.signal.aborted && this.#pending >= FULL_BYTES
  }

  /** Nothing waits to be written, or nothing can be. */
  get isIdle(): boolean {
    return this.#pending === 0 || this.#isFailing || this.#over.signal.aborted
  }

  /** Bytes written, ever. */
  get written(): number {
    return this.#written
  }

  /** Takes whole lines, joined by newlines, one character a byte (latin1). */
  append(lines: string): void {
    if (this.#over.signal.aborted) return
    if (this.#isFailing && this.#pending + lines.length >= FULL_BYTES) {
      this.#lostLines += lines.split('\n').length
      return
    }
    const bytes = Buffer.from(`${lines}\n`, 'latin1')
    this.#queue.push(bytes)
    this.#pending += bytes.length
    if (!this.#isWriting) void this.#writeAll()
  }

  whenRoom(resume: () => void): void {
    this.#waiting.add(resume)
  }

  /** Closes it as soon as everything is written; at once, if nothing can be. */
  end(): void {
    this.#isEnding = true
    if (this.isIdle) this.close()
  }

  /** Closes it. What was not written by then is lost. */
  close(): void {
    this.#over.abort()
    this.#wake()
    if (!this.#isWriting) void this.#letGo()
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true
    while (this.#pending > 0 && !this.#over.signal.aborted) {
      try {
        await this.#writeSome()
      } catch (error) {
        await this.#pause(error)
      }
    }
    this.#isWriting = false
    if (this.#isEnding) this.close()
    else if (this.#over.signal.aborted) await this.#letGo()
  }

  async #writeSome(): Promise<void> {
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
    if (this.#pending <= FULL_BYTES / 2) this.#wake()
  }

  /** Many small pieces become one write. */
  #fillHead(): void {
    if (this.#head.length > 0) return
    let length = 0
    const count = this.#queue.findIndex((bytes) => (length += bytes.length) >= WRITE_BYTES) + 1
    const [first = this.#head, ...more] = this.#queue.splice(0, count === 0 ? this.#queue.length : count)
    this.#head = more.length === 0 ? first : Buffer.concat([first, ...more])
  }

  /** How much goes to this file in one write: whole lines, as far as they fit; 0 if it is the next file's turn. */
  #pieceLength(): number {
    const lineLength = this.#head.indexOf(NEWLINE) + 1
    if (this.#isWithinLine) return lineLength
    if (!this.#isRegular) return this.#head.length
    const room = this.settings.maxSize - this.#size
    if (this.#head.length <= room) return this.#head.length
    const fitting = room <= 0 ? 0 : this.#head.lastIndexOf(NEWLINE, room - 1) + 1
    // A line that is longer than a whole file has one for itself.
    return fitting > 0 || this.#size > 0 ? fitting : lineLength
  }

  async #open(): Promise<FileHandle> {
    const { path } = this.settings
    await mkdir(dirname(path), { recursive: true })
    const handle = await open(path, FLAGS)
    try {
      const stat = await handle.stat()
      this.#isRegular = stat.isFile()
      this.#size = this.#isRegular ? stat.size : 0
      if (this.#size > 0 && !this.#isWithinLine && (await isCutOff(path, stat.size))) {
        // Whoever wrote here before was cut off: our first line is not the end of its last one.
        this.#size += (await handle.write(Buffer.of(NEWLINE))).bytesWritten
      }
      return handle
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async #rotate(): Promise<void> {
    const { path, maxFiles } = this.settings
    await this.#letGo()
    for (let number = maxFiles; number > 1; number--) await renameIfThere(`${path}.${number - 1}`, `${path}.${number}`)
    await renameIfThere(path, `${path}.1`)
  }

  async #pause(error: unknown): Promise<void> {
    if (codeOf(error) === 'EAGAIN') {
      await sleep(BUSY_MS, this.#over.signal)
      return
    }
    await this.#letGo()
    if (!this.#isFailing) this.#listener.onFailed(reasonOf(error))
    this.#isFailing = true
    this.#wake()
    if (this.#isEnding) this.close()
    else await sleep(RETRY_MS, this.#over.signal)
  }

  #recover(): void {
    if (!this.#isFailing) return
    this.#isFailing = false
    this.#listener.onResumed(this.#lostLines)
    this.#lostLines = 0
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resume of waiting) resume()
  }

  async #letGo(): Promise<void> {
    const handle = this.#handle
    this.#handle = null
    // A file system may tell only now that it is full; nothing more can be done about it.
    await handle?.close().catch(() => undefined)
  }
}

/** False also if it may not be read. */
async function isCutOff(path: string, size: number): Promise<boolean> {
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

/** `ENOSPC: no space left on device, write` as `no space left on device (ENOSPC)`. */
function reasonOf(error: unknown): string {
  return messageOf(error).replace(/^(\w+): ([^,]*).*$/s, '$2 ($1)')
}

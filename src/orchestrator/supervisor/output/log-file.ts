import { EventEmitter } from 'node:events'
import { codeOf, systemReason } from '../../config/errors.ts'
import type { LogFileSettings } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../events.ts'
import { sleep } from '../timers.ts'
import { RotatingFile } from './rotating-file.ts'
import type { BackPressure } from './stream-relay.ts'

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
const NEWLINE = 0x0a

/**
 * The log file of one process, which rotates. A full disk does not stop the process: while writing fails, up to 1 MiB is buffered,
 * and further lines are dropped and counted. Emits an event when an outage begins and when it ends.
 */
export class LogFile implements BackPressure {
  readonly settings: LogFileSettings
  readonly #file: RotatingFile
  readonly #process: string
  readonly #emit: (event: SupervisorEvent) => void
  readonly #over = new AbortController()
  readonly #drained = new EventEmitter().setMaxListeners(0)
  #queue: Buffer[] = []
  #head: Buffer = Buffer.alloc(0)
  #pending = 0
  #written = 0
  #isWriting = false
  #reason: string | null = null
  #isEnding = false
  #errors = 0
  #lostLines = 0
  /** Lines that were dropped in the current outage. */
  #lostNow = 0

  constructor(process: string, settings: LogFileSettings, emit: (event: SupervisorEvent) => void) {
    this.#process = process
    this.settings = settings
    this.#file = new RotatingFile(settings)
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

  /** Closes the file and reports the lines that are lost. */
  async #finish(): Promise<void> {
    const unwritten = Buffer.concat([this.#head, ...this.#queue.splice(0)])
    this.#head = Buffer.alloc(0)
    this.#pending = 0
    this.#lose(unwritten.reduce((count, byte) => (byte === NEWLINE ? count + 1 : count), 0))
    const { path } = this.settings
    const lostLines = this.#lostNow
    this.#lostNow = 0
    if (lostLines > 0) this.#emit({ type: 'log_file_closed', process: this.#process, path, lostLines })
    await this.#file.close()
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
    this.#fillHead()
    const { bytesWritten, isComplete } = await this.#file.write(this.#head)
    this.#head = this.#head.subarray(bytesWritten)
    this.#pending -= bytesWritten
    this.#written += bytesWritten
    if (isComplete) this.#recover()
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

  async #handleError(error: unknown): Promise<void> {
    if (codeOf(error) === 'EAGAIN') {
      await sleep(BUSY_MS, this.#over.signal)
      return
    }
    await this.#file.close()
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
}

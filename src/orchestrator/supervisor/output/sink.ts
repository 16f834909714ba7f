import { EventEmitter } from 'node:events'
import type { Writable } from 'node:stream'
import type { PromptLine } from './prompt-line.ts'
import type { BackPressure } from './stream-relay.ts'

const BUFFER_BYTES = 256 * 1024
/** The size up to which lines are coalesced during a write. */
const WRITE_BYTES = 128 * 1024
/** The limit of unwritten bytes above which children are paused. */
const FULL_BYTES = 1024 * 1024
const NEWLINE = 0x0a

export interface SinkOptions {
  /** The last line of a terminal; default: none. */
  readonly prompt?: PromptLine | null
  /** Called before each write, to write what has to precede the lines. */
  readonly beforeWrite?: () => void
}

/**
 * One of the orchestrator's own output streams, shared by all children. The lines of one event loop turn are coalesced into
 * few writes. Never blocks; buffers about 1 MiB if its users respect `isFull`.
 */
export class Sink implements BackPressure {
  readonly #stream: Writable
  readonly #onClosed: (reason: string) => void
  readonly #prompt: PromptLine | null
  readonly #beforeWrite: () => void
  readonly #drained = new EventEmitter().setMaxListeners(0)
  readonly #spare: Buffer[] = []
  #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #used = 0
  #pending = 0
  #written = 0
  #scheduled = false
  #closed = false

  /** `onClosed` is called once if the stream can no longer be written to. */
  constructor(stream: Writable, onClosed: (reason: string) => void, options: SinkOptions = {}) {
    const { prompt = null, beforeWrite = () => undefined } = options
    this.#stream = stream
    this.#prompt = this.isTerminal ? prompt : null
    this.#beforeWrite = beforeWrite
    this.#onClosed = onClosed
    stream.on('error', this.#fail)
    stream.on('close', this.#fail)
    setBlocking(stream, false)
  }

  get isTerminal(): boolean {
    return Reflect.get(this.#stream, 'isTTY') === true
  }

  get isFull(): boolean {
    return !this.#closed && this.#pending + this.#used >= FULL_BYTES
  }

  /** True if everything is written, or the stream is closed. */
  get isIdle(): boolean {
    return this.#closed || this.#pending + this.#used === 0
  }

  /** Total bytes written; a change of it is progress. */
  get written(): number {
    return this.#written
  }

  /** Appends `head + body` and a newline; both are latin1 strings. */
  append(head: string, body: string): void {
    if (this.#closed) return
    const length = head.length + body.length + 1
    if (length > BUFFER_BYTES - this.#used) this.#flush()
    if (length > BUFFER_BYTES) {
      this.#write(Buffer.from(`${head}${body}\n`, 'latin1'), null)
      return
    }
    this.#used += this.#buffer.write(head, this.#used, 'latin1')
    this.#used += this.#buffer.write(body, this.#used, 'latin1')
    this.#buffer[this.#used++] = NEWLINE
    if (this.#used >= WRITE_BYTES) this.#flush()
    else this.#schedule()
  }

  onceDrained(resume: () => void): void {
    this.#drained.once('drained', resume)
  }

  /** Writes the buffered lines immediately, so that they precede a line on another stream. */
  flush(): void {
    if (this.#pending === 0 && !this.#closed) this.#flush()
  }

  /** Detaches from the stream. Unwritten lines are lost. */
  close(): void {
    if (this.#closed) return
    if (this.isIdle) setBlocking(this.#stream, true)
    this.#stop()
    this.#stream.off('close', this.#fail)
  }

  #schedule(): void {
    if (this.#scheduled || this.#pending > 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  #flush(): void {
    if (this.#used === 0) return
    const full = this.#buffer
    const bytes = full.subarray(0, this.#used)
    this.#buffer = this.#spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
    this.#used = 0
    this.#write(bytes, full)
  }

  #write(lines: Buffer, reusable: Buffer | null): void {
    this.#beforeWrite()
    const bytes = this.#framed(lines)
    this.#pending += bytes.length
    this.#stream.write(bytes, (error) => {
      if (error !== null && error !== undefined) this.#fail(error)
      if (this.#closed) return
      this.#pending -= bytes.length
      this.#written += bytes.length
      if (reusable !== null && this.#spare.length < 2) this.#spare.push(reusable)
      if (this.#pending === 0) this.#flush()
      if (this.#pending + this.#used <= FULL_BYTES / 2) this.#drained.emit('drained')
    })
  }

  #framed(lines: Buffer): Buffer {
    const [before, after] = this.#prompt?.around() ?? ['', '']
    return before === '' && after === '' ? lines : Buffer.concat([Buffer.from(before), lines, Buffer.from(after)])
  }

  readonly #fail = (error?: Error): void => {
    if (this.#closed) return
    this.#stop()
    this.#onClosed(error?.message ?? 'closed')
  }

  #stop(): void {
    this.#closed = true
    this.#pending = 0
    this.#used = 0
    this.#drained.emit('drained')
  }
}

/** Sets whether writes block. By default a terminal paused with Ctrl-S would block the orchestrator and its signal handlers. */
function setBlocking(stream: Writable, blocking: boolean): void {
  if (Reflect.get(stream, 'isTTY') !== true) return
  const handle: unknown = Reflect.get(stream, '_handle')
  if (typeof handle !== 'object' || handle === null) return
  const set: unknown = Reflect.get(handle, 'setBlocking')
  if (typeof set === 'function') Reflect.apply(set, handle, [blocking])
}

import type { Writable } from 'node:stream'

const BUFFER_BYTES = 256 * 1024
/** While a write is under way, smaller ones wait and are coalesced up to this much. */
const WRITE_BYTES = 128 * 1024
/** With this much not yet taken by the reader, children are paused. */
const FULL_BYTES = 1024 * 1024
const NEWLINE = 0x0a

/**
 * One of the orchestrator's own output streams, shared by all children. Whole lines only are appended; those of one turn of
 * the event loop go out in one write, or in few. Never blocks, and keeps about 1 MiB at most if its users heed `isFull`.
 */
export class Sink {
  readonly #stream: Writable
  readonly #onClosed: (reason: string) => void
  readonly #waiting = new Set<() => void>()
  readonly #spare: Buffer[] = []
  #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #used = 0
  #pending = 0
  #written = 0
  #scheduled = false
  #closed = false

  /** `onClosed` is called once if the stream breaks: nobody reads it any more, or it cannot be written to. */
  constructor(stream: Writable, onClosed: (reason: string) => void) {
    this.#stream = stream
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

  /** Nothing waits to be written, or nobody is there to read it. */
  get isIdle(): boolean {
    return this.#closed || this.#pending + this.#used === 0
  }

  /** Bytes that the reader took, ever: tells a slow reader from a stuck one. */
  get written(): number {
    return this.#written
  }

  /** Appends `head + body` and a newline. One character is one byte (latin1). */
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

  /** Calls `resume` once, as soon as there is room again. */
  whenRoom(resume: () => void): void {
    this.#waiting.add(resume)
  }

  /** Writes at once what would go out in this turn of the event loop: for whatever is about to speak on another stream. */
  flush(): void {
    if (this.#pending === 0 && !this.#closed) this.#flush()
  }

  /** Lets go of the stream. What was not written by then is lost. */
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

  #write(bytes: Buffer, reusable: Buffer | null): void {
    this.#pending += bytes.length
    this.#stream.write(bytes, (error) => {
      if (error !== null && error !== undefined) this.#fail(error)
      if (this.#closed) return
      this.#pending -= bytes.length
      this.#written += bytes.length
      if (reusable !== null && this.#spare.length < 2) this.#spare.push(reusable)
      if (this.#pending === 0) this.#flush()
      if (this.#pending + this.#used <= FULL_BYTES / 2) this.#wake()
    })
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resume of waiting) resume()
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
    this.#wake()
  }
}

/**
 * A terminal is written to synchronously by default: one that was stopped with Ctrl-S would then stop the orchestrator, and
 * no signal would reach it. Pipes and files are as they should be.
 */
function setBlocking(stream: Writable, blocking: boolean): void {
  if (Reflect.get(stream, 'isTTY') !== true) return
  const handle: unknown = Reflect.get(stream, '_handle')
  if (typeof handle !== 'object' || handle === null) return
  const set: unknown = Reflect.get(handle, 'setBlocking')
  if (typeof set === 'function') Reflect.apply(set, handle, [blocking])
}

import { Writable } from 'node:stream'

/** A stream that takes 1 ms per chunk and records the maximum number of buffered bytes. */
export class SlowReader extends Writable {
  readonly #onBytes: (bytes: Buffer) => void
  maxBuffered = 0

  constructor(onBytes: (bytes: Buffer) => void) {
    super()
    this.#onBytes = onBytes
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.maxBuffered = Math.max(this.maxBuffered, this.writableLength)
    this.#onBytes(chunk)
    setTimeout(callback, 1)
  }
}

/** A stream that accepts one chunk and then blocks. */
export class StuckReader extends Writable {
  readonly #full = new AbortController()

  /** Resolves when the writer is blocked. */
  readonly blocked = new Promise<void>((resolve) => this.#full.signal.addEventListener('abort', () => resolve()))

  override _write(): void {
    this.#full.abort()
  }
}

/** A closed pipe: every write fails with EPIPE. */
export class LostReader extends Writable {
  override _write(_chunk: Buffer, _encoding: string, callback: (error: Error) => void): void {
    callback(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
  }
}

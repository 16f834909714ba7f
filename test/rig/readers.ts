import { Writable } from 'node:stream'

/** A reader of the orchestrator's output that takes a while for each piece, and remembers how much ever waited for it. */
export class SlowReader extends Writable {
  readonly #onBytes: (bytes: Buffer) => void
  mostWaiting = 0

  constructor(onBytes: (bytes: Buffer) => void) {
    super()
    this.#onBytes = onBytes
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.mostWaiting = Math.max(this.mostWaiting, this.writableLength)
    this.#onBytes(chunk)
    setTimeout(callback, 1)
  }
}

/** One that took the first piece, and takes no more. */
export class StuckReader extends Writable {
  readonly #full = new AbortController()

  /** Resolves when the orchestrator waits for it. */
  readonly waitedFor = new Promise<void>((resolve) => this.#full.signal.addEventListener('abort', () => resolve()))

  override _write(): void {
    this.#full.abort()
  }
}

/** One that went away. */
export class LostReader extends Writable {
  override _write(_chunk: Buffer, _encoding: string, callback: (error: Error) => void): void {
    callback(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
  }
}

import { isUtf8 } from 'node:buffer'

const NOT_ASCII = /[\u0080-\u00ff]/

/** Decodes a latin1 string of UTF-8 bytes; `valid` is false if the bytes are not UTF-8. */
export function decodeUtf8(bytes: string): { readonly text: string; readonly valid: boolean } {
  if (!NOT_ASCII.test(bytes)) return { text: bytes, valid: true }
  const buffer = Buffer.from(bytes, 'latin1')
  return { text: buffer.toString('utf8'), valid: isUtf8(buffer) }
}

/** Encodes a text as UTF-8 bytes in a latin1 string. */
export function encodeUtf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** The maximum length of a line; longer lines are split into pieces. */
export const MAX_LINE_BYTES = 65_536

/** Suffix of every piece of a split line except the last. */
export const CUT_MARK = ' \\'

const NEWLINE = 0x0a
const CUT_AT = MAX_LINE_BYTES - CUT_MARK.length

/** Receives one or more whole lines, joined by newlines, without the last newline, as a latin1 string. */
export type LinesHandler = (lines: string) => void

/**
 * Splits the byte stream of a child into whole lines. Bytes are kept as latin1 strings, which is fast and lossless. At most
 * 64 KiB of an unfinished line are buffered.
 */
export class LineSplitter {
  readonly #emit: LinesHandler
  #carry = ''

  constructor(emit: LinesHandler) {
    this.#emit = emit
  }

  /** The beginning of the line whose end has not arrived. */
  get unfinished(): string {
    return this.#carry
  }

  push(chunk: Buffer): void {
    for (let from = 0; from < chunk.length; from += MAX_LINE_BYTES) {
      this.#pushPart(chunk.length <= MAX_LINE_BYTES ? chunk : chunk.subarray(from, from + MAX_LINE_BYTES))
    }
  }

  /** Emits the last line if it has no newline. */
  end(): void {
    if (this.#carry === '') return
    this.#emit(this.#carry)
    this.#carry = ''
  }

  #pushPart(part: Buffer): void {
    const last = part.lastIndexOf(NEWLINE)
    if (last < 0) {
      this.#carry += part.toString('latin1')
      this.#cutCarry()
      return
    }
    let from = 0
    if (this.#carry !== '') {
      from = part.indexOf(NEWLINE) + 1
      this.#carry += part.toString('latin1', 0, from - 1)
      this.#cutCarry()
      this.#emit(this.#carry)
    }
    if (from <= last) this.#emit(part.toString('latin1', from, last))
    this.#carry = part.toString('latin1', last + 1)
  }

  #cutCarry(): void {
    while (this.#carry.length > MAX_LINE_BYTES) {
      const at = cutPosition(this.#carry)
      this.#emit(this.#carry.slice(0, at) + CUT_MARK)
      this.#carry = this.#carry.slice(at)
    }
  }
}

/** Returns a position up to three bytes before `CUT_AT`, so that no UTF-8 character is split. */
export function cutPosition(bytes: string): number {
  for (let at = CUT_AT; at > CUT_AT - 4; at--) {
    if ((bytes.charCodeAt(at) & 0xc0) !== 0x80) return at
  }
  return CUT_AT
}

/** The lines of both streams of a child, for probes and `RecentLines`. Costs nothing without listeners. */
export class LineTap {
  readonly #listeners = new Set<(line: string) => void>()

  /** Calls `listener` with each line as text, until `signal` is aborted. */
  listen(listener: (line: string) => void, signal: AbortSignal): void {
    if (signal.aborted) return
    this.#listeners.add(listener)
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true })
  }

  /** Receives whole lines, joined by newlines, as a latin1 string. */
  push(lines: string): void {
    if (this.#listeners.size === 0) return
    for (const line of lines.split('\n')) {
      const { text } = decodeUtf8(line)
      for (const listener of this.#listeners) listener(text)
    }
  }
}

const RECENT_LINES = 20

/** The last 20 output lines of one process, across its children. */
export class RecentLines {
  #over = new AbortController()
  #lines: string[] = []

  get lines(): readonly string[] {
    return this.#lines
  }

  /** Switches to the next child. */
  follow(tap: LineTap): void {
    this.#over.abort()
    this.#over = new AbortController()
    tap.listen((line) => {
      this.#lines.push(line)
      if (this.#lines.length > RECENT_LINES) this.#lines.shift()
    }, this.#over.signal)
  }

  /** Drops the lines and stops listening, because splitting lines costs time. */
  end(): void {
    this.#over.abort()
    this.#lines = []
  }
}

import { isUtf8 } from 'node:buffer'

const NOT_ASCII = /[\u0080-\u00ff]/

/** Text of bytes that are held as latin1 characters; `valid` is false if they were not UTF-8. */
export function decodeUtf8(bytes: string): { readonly text: string; readonly valid: boolean } {
  if (!NOT_ASCII.test(bytes)) return { text: bytes, valid: true }
  const buffer = Buffer.from(bytes, 'latin1')
  return { text: buffer.toString('utf8'), valid: isUtf8(buffer) }
}

/** The UTF-8 bytes of a text, held as latin1 characters. */
export function encodeUtf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** A longer line is passed on in pieces. */
export const MAX_LINE_BYTES = 65_536

/** What every piece of a cut line but the last ends in. */
export const CUT_MARK = ' \\'

const NEWLINE = 0x0a
const CUT_AT = MAX_LINE_BYTES - CUT_MARK.length

/** Receives one or more whole lines, joined by newlines, without the last newline. One character is one byte (latin1). */
export type LinesHandler = (lines: string) => void

/**
 * Makes whole lines of one stream's bytes, whatever chunks they come in. Bytes are never decoded: each becomes the character
 * of the same number, which the engine handles at the speed of memory and gives back unchanged. Of a line that is not
 * finished at most 64 KiB are kept.
 */
export class LineSplitter {
  readonly #emit: LinesHandler
  #carry = ''

  constructor(emit: LinesHandler) {
    this.#emit = emit
  }

  push(chunk: Buffer): void {
    for (let from = 0; from < chunk.length; from += MAX_LINE_BYTES) {
      this.#pushPart(chunk.length <= MAX_LINE_BYTES ? chunk : chunk.subarray(from, from + MAX_LINE_BYTES))
    }
  }

  /** Passes on a last line that had no newline. */
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

/** Not within a UTF-8 character, if that is what the bytes are: at most three bytes earlier. */
function cutPosition(bytes: string): number {
  for (let at = CUT_AT; at > CUT_AT - 4; at--) {
    if ((bytes.charCodeAt(at) & 0xc0) !== 0x80) return at
  }
  return CUT_AT
}

/** Lets probes and the record of the last lines listen to a child's lines, of both streams. Free of cost while nobody does. */
export class LineTap {
  readonly #listeners = new Set<(line: string) => void>()

  /** Calls `listener` with each line as text, until `signal` is aborted. */
  listen(listener: (line: string) => void, signal: AbortSignal): void {
    if (signal.aborted) return
    this.#listeners.add(listener)
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true })
  }

  /** Takes whole lines, joined by newlines, one character a byte. */
  push(lines: string): void {
    if (this.#listeners.size === 0) return
    for (const line of lines.split('\n')) {
      const { text } = decodeUtf8(line)
      for (const listener of this.#listeners) listener(text)
    }
  }
}

const KEPT = 20

/** The last 20 lines that were said, over all children of one process. */
export class RecentLines {
  /** Aborted when the child that is listened to now is of no interest any more. */
  #over = new AbortController()
  #lines: string[] = []

  get lines(): readonly string[] {
    return this.#lines
  }

  /** Listens to a further child, and no longer to the one before it. */
  follow(tap: LineTap): void {
    this.#over.abort()
    this.#over = new AbortController()
    tap.listen((line) => {
      this.#lines.push(line)
      if (this.#lines.length > KEPT) this.#lines.shift()
    }, this.#over.signal)
  }

  /** Forgets them and listens no more: reading lines one by one has its price. */
  end(): void {
    this.#over.abort()
    this.#lines = []
  }
}

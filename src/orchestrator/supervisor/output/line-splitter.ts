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

import { CUT_MARK, cutPosition, type LinesHandler, MAX_LINE_BYTES } from '../output/lines.ts'
import { LineSnapshots } from './line-snapshots.ts'

/** Characters that move the cursor or change the screen, and the text between them. Bytes are latin1, so C1 codes are text. */
const TOKEN =
  // oxlint-disable-next-line no-control-regex -- control characters are the subject
  /\u001b\[([0-?]*)[ -/]*([@-~])|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\|$)|\u001b[PX^_][^\u001b]*(?:\u001b\\|$)|\u001b[ -/]*[0-~]|[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u0008\u000a-\u001f\u007f]+/g
/** A control sequence whose end has not arrived. */
// oxlint-disable-next-line no-control-regex -- control characters are the subject
const UNFINISHED = /\u001b(?:\[[0-?]*[ -/]*|\][^\u0007\u001b]*)?$/

/**
 * Returns what a terminal shows of one line after all rewrites: a text after a return of the cursor replaces the line, colours
 * remain, and sequences that move the cursor elsewhere are left out. A latin1 string, as in `LineSplitter`.
 */
export function visibleLine(line: string): string {
  let shown = ''
  let colour = ''
  let isAtStart = false
  for (const [token, parameters = '', final] of line.matchAll(TOKEN)) {
    if (final === 'm') colour += token
    else if (token === '\r' || (final === 'G' && Number(parameters || '1') <= 1)) isAtStart = true
    else if (final === 'K' || final === 'J') {
      if (isAtStart || parameters === '1' || parameters === '2') shown = ''
    } else if (token === '\b') shown = withoutLastCharacter(shown)
    else if (isText(token)) {
      shown = (isAtStart ? '' : shown) + colour + token
      colour = ''
      isAtStart = false
    }
  }
  return shown + (shown === '' ? '' : colour)
}

/** A colour or style, not a private sequence such as `ESC[>4;1m`. */
// oxlint-disable-next-line no-control-regex -- control characters are the subject
const STYLE = /^\u001b\[[\d:;]*m$/
/** The begin, or without an address the end, of a hyperlink. */
// oxlint-disable-next-line no-control-regex -- control characters are the subject
const HYPERLINK = /^\u001b\]8;[^;]*;(.*?)(?:\u0007|\u001b\\)$/
const END_OF_HYPERLINK = '\u001b]8;;\u001b\\'

/**
 * Returns a line without the escape sequences that change more of a terminal than the line, such as its screen, title or mode.
 * Colours and hyperlinks remain, and end with the line; a move of the cursor to column 1 becomes `\r`. A latin1 string.
 */
export function withoutScreenSequences(line: string): string {
  if (!line.includes('\u001b')) return line
  let shown = ''
  let isStyled = false
  let isLinked = false
  for (const [token, parameters = '', final] of line.matchAll(TOKEN)) {
    const link = HYPERLINK.exec(token)
    if (!token.startsWith('\u001b')) shown += token
    else if (link !== null) {
      shown += token
      isLinked = link[1] !== ''
    } else if (STYLE.test(token)) {
      shown += token
      isStyled = true
    } else if (final === 'G' && Number(parameters || '1') <= 1) shown += '\r'
  }
  return shown + (isLinked ? END_OF_HYPERLINK : '') + (isStyled ? '\u001b[0m' : '')
}

function isText(token: string): boolean {
  const code = token.charCodeAt(0)
  return code === 0x09 || (code >= 0x20 && code !== 0x7f)
}

function withoutLastCharacter(text: string): string {
  let end = text.length - 1
  while (end > 0 && (text.charCodeAt(end) & 0xc0) === 0x80) end--
  return text.slice(0, Math.max(0, end))
}

/** Splits the output of a pseudo-terminal into lines, each as the terminal shows it. */
export class TerminalLines {
  readonly #emit: LinesHandler
  readonly #snapshots: LineSnapshots
  #carry = ''

  constructor(emit: LinesHandler) {
    this.#emit = emit
    this.#snapshots = new LineSnapshots(() => visibleLine(this.#carry), emit)
  }

  push(chunk: Buffer): void {
    const lines = (this.#carry + chunk.toString('latin1')).split('\n')
    this.#carry = lines.pop() ?? ''
    const visible = lines.flatMap((line) => this.#finish(line))
    if (visible.length > 0) this.#emit(visible.join('\n'))
    if (this.#carry.length > MAX_LINE_BYTES) this.#compact()
    this.#snapshots.update(this.#carry !== '')
  }

  /** Emits the last line if it has no newline. */
  end(): void {
    const last = this.#finish(this.#carry).join('\n')
    this.#carry = ''
    if (last !== '') this.#emit(last)
  }

  /** Returns the finished line, unless the last snapshot shows it already. */
  #finish(line: string): readonly string[] {
    const visible = visibleLine(line)
    if (this.#snapshots.finish(visible)) return []
    return visible.length > MAX_LINE_BYTES ? [...piecesOf(visible)] : [visible]
  }

  /** Replaces the unfinished line by what is visible of it; emits pieces if that is too long. */
  #compact(): void {
    const [unfinished = ''] = UNFINISHED.exec(this.#carry.slice(-MAX_LINE_BYTES)) ?? []
    const end = this.#carry.length - unfinished.length
    const complete = this.#carry.slice(0, end)
    const pieces = [...piecesOf(visibleLine(complete))]
    const last = pieces.pop() ?? ''
    if (pieces.length > 0) this.#emit(pieces.join('\n'))
    this.#carry = last + (complete.endsWith('\r') ? '\r' : '') + unfinished.slice(0, MAX_LINE_BYTES / 2)
  }
}

/** Splits a long line; every piece but the last ends with the mark. */
function* piecesOf(line: string): Generator<string> {
  let rest = line
  while (rest.length > MAX_LINE_BYTES) {
    const at = cutPosition(rest)
    yield rest.slice(0, at) + CUT_MARK
    rest = rest.slice(at)
  }
  yield rest
}

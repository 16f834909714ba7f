import { decodeUtf8 } from './lines.ts'

/** The size limit of the history of one process. */
const HISTORY_CHARACTERS = 256 * 1024
/** Lines read at the same time form one block up to this size; blocks are dropped as a whole. */
const BLOCK_CHARACTERS = 16 * 1024

export interface LogLine {
  /** The time when the line was read, in milliseconds since 1970. */
  readonly time: number
  readonly process: string
  readonly stream: 'stdout' | 'stderr'
  readonly line: string
}

/** Whole lines of one stream that were read at the same time. `length` includes a newline after each. */
interface Block {
  readonly time: number
  readonly stream: 'stdout' | 'stderr'
  length: number
}

interface History {
  readonly blocks: Block[]
  readonly bytes: ByteRing
}

type Follower = (lines: readonly LogLine[]) => void

/** The last 256 KiB of output of each process, and a subscription to new lines. */
export class LogHistory {
  readonly #histories = new Map<string, History>()
  readonly #followers = new Set<Follower>()

  /** Adds whole lines, joined by newlines, as a latin1 string. They are split only when they are read, because splitting is costly. */
  push(name: string, stream: 'stdout' | 'stderr', lines: string): void {
    const history = this.#histories.get(name) ?? { blocks: [], bytes: new ByteRing() }
    this.#histories.set(name, history)
    const time = Date.now()
    record(history, time, stream, lines)
    if (this.#followers.size === 0) return
    const split = linesOf(lines, { time, process: name, stream })
    for (const follower of this.#followers) follower(split)
  }

  /** Returns the last `count` lines of each process, merged by time. */
  tail(names: readonly string[], count: number): LogLine[] {
    const lines = names.flatMap((name) => {
      const history = this.#histories.get(name)
      return history === undefined || count === 0 ? [] : allLines(name, history).slice(-count)
    })
    return lines.sort((a, b) => a.time - b.time)
  }

  /** Calls `follower` with all new lines until the returned function is called. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower)
    return () => this.#followers.delete(follower)
  }

  /** Drops the lines of all other processes. */
  retain(names: readonly string[]): void {
    for (const name of this.#histories.keys()) if (!names.includes(name)) this.#histories.delete(name)
  }
}

function record({ blocks, bytes }: History, time: number, stream: Block['stream'], lines: string): void {
  const length = lines.length + 1
  while (blocks.length > 0 && bytes.length + length > HISTORY_CHARACTERS) bytes.drop(blocks.shift()?.length ?? 0)
  bytes.append(lines)
  bytes.append('\n')
  const last = blocks.at(-1)
  const joins = last?.time === time && last.stream === stream && last.length + length <= BLOCK_CHARACTERS
  if (joins) last.length += length
  else blocks.push({ time, stream, length })
}

function allLines(name: string, { blocks, bytes }: History): LogLine[] {
  const text = bytes.toString()
  let from = 0
  return blocks.flatMap(({ time, stream, length }) => {
    const lines = text.slice(from, from + length - 1)
    from += length
    return linesOf(lines, { time, process: name, stream })
  })
}

function linesOf(lines: string, origin: Omit<LogLine, 'line'>): LogLine[] {
  return lines.split('\n').map((line) => ({ ...origin, line: decodeUtf8(line).text }))
}

const FIRST_CAPACITY = 4096

/**
 * A growing ring buffer of bytes (latin1 strings) whose oldest bytes can be dropped. It is outside the JavaScript heap,
 * where the garbage collector would copy retained strings repeatedly.
 */
export class ByteRing {
  #bytes: Buffer = Buffer.alloc(0)
  #start = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  append(text: string): void {
    if (text === '') return
    this.#reserve(text.length)
    const at = (this.#start + this.#length) % this.#bytes.length
    const first = this.#bytes.write(text, at, 'latin1')
    if (first < text.length) this.#bytes.write(text.slice(first), 0, 'latin1')
    this.#length += text.length
  }

  /** Drops the oldest `count` bytes. */
  drop(count: number): void {
    if (count === 0) return
    this.#start = (this.#start + count) % this.#bytes.length
    this.#length -= count
  }

  toString(): string {
    const end = this.#start + this.#length
    const first = this.#bytes.toString('latin1', this.#start, end)
    return end <= this.#bytes.length ? first : first + this.#bytes.toString('latin1', 0, end - this.#bytes.length)
  }

  #reserve(count: number): void {
    const wanted = this.#length + count
    if (wanted <= this.#bytes.length) return
    const content = this.toString()
    let capacity = Math.max(FIRST_CAPACITY, this.#bytes.length)
    while (capacity < wanted) capacity *= 2
    this.#bytes = Buffer.allocUnsafeSlow(capacity)
    this.#bytes.write(content, 'latin1')
    this.#start = 0
  }
}

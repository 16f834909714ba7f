import { decodeUtf8 } from './lines.ts'

/** For each process about the last 256 KiB of its output are kept. */
const KEPT_CHARACTERS = 256 * 1024
/** What was read at one time counts as one block up to this much: it is forgotten as a whole. */
const BLOCK_CHARACTERS = 16 * 1024

export interface LogLine {
  /** Milliseconds since 1970, when the line was read. */
  readonly time: number
  readonly process: string
  readonly stream: 'stdout' | 'stderr'
  readonly line: string
}

/** Whole lines of one stream that were read at one time: how many bytes they are, with a newline after each. */
interface Block {
  readonly time: number
  readonly stream: 'stdout' | 'stderr'
  length: number
}

interface Kept {
  readonly blocks: Block[]
  readonly bytes: ByteRing
}

type Follower = (lines: readonly LogLine[]) => void

/** What the processes said last, for those who come later, and a way to hear what they say next. */
export class LogHistory {
  readonly #kept = new Map<string, Kept>()
  readonly #followers = new Set<Follower>()

  /** Takes whole lines as they were read. Keeps them as they are: a look at each line would cost more than all the rest. */
  push(process: string, stream: 'stdout' | 'stderr', lines: string): void {
    const kept = this.#kept.get(process) ?? { blocks: [], bytes: new ByteRing() }
    this.#kept.set(process, kept)
    const time = Date.now()
    keep(kept, time, stream, lines)
    if (this.#followers.size === 0) return
    const split = linesOf(lines, { time, process, stream })
    for (const follower of this.#followers) follower(split)
  }

  /** The last `count` lines of each of the processes, all together in the order in which they were read. */
  tail(processes: readonly string[], count: number): LogLine[] {
    const lines = processes.flatMap((process) => {
      const kept = this.#kept.get(process)
      return kept === undefined || count === 0 ? [] : recall(process, kept).slice(-count)
    })
    return lines.sort((a, b) => a.time - b.time)
  }

  /** Calls `follower` with what is said from now on; the answer ends that. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower)
    return () => this.#followers.delete(follower)
  }

  /** Forgets a process that is gone for good. */
  forget(process: string): void {
    this.#kept.delete(process)
  }
}

function keep({ blocks, bytes }: Kept, time: number, stream: Block['stream'], lines: string): void {
  const length = lines.length + 1
  while (blocks.length > 0 && bytes.length + length > KEPT_CHARACTERS) bytes.drop(blocks.shift()?.length ?? 0)
  bytes.append(lines)
  bytes.append('\n')
  const last = blocks.at(-1)
  const joins = last?.time === time && last.stream === stream && last.length + length <= BLOCK_CHARACTERS
  if (joins) last.length += length
  else blocks.push({ time, stream, length })
}

function recall(process: string, { blocks, bytes }: Kept): LogLine[] {
  const text = bytes.toString()
  let from = 0
  return blocks.flatMap(({ time, stream, length }) => {
    const lines = text.slice(from, from + length - 1)
    from += length
    return linesOf(lines, { time, process, stream })
  })
}

function linesOf(lines: string, origin: Omit<LogLine, 'line'>): LogLine[] {
  return lines.split('\n').map((line) => ({ ...origin, line: decodeUtf8(line).text }))
}

const FIRST_CAPACITY = 4096

/**
 * Bytes in the order in which they came, of which the oldest can be dropped. Lives outside of the engine's heap, where what
 * is kept for a while would be copied again and again. One character is one byte (latin1).
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
    this.#makeRoomFor(text.length)
    const at = (this.#start + this.#length) % this.#bytes.length
    const first = this.#bytes.write(text, at, 'latin1')
    if (first < text.length) this.#bytes.write(text.slice(first), 0, 'latin1')
    this.#length += text.length
  }

  /** Forgets the oldest `count` bytes. */
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

  #makeRoomFor(count: number): void {
    const wanted = this.#length + count
    if (wanted <= this.#bytes.length) return
    const kept = this.toString()
    let capacity = Math.max(FIRST_CAPACITY, this.#bytes.length)
    while (capacity < wanted) capacity *= 2
    this.#bytes = Buffer.allocUnsafeSlow(capacity)
    this.#bytes.write(kept, 'latin1')
    this.#start = 0
  }
}

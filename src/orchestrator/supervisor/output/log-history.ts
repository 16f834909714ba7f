import type { SupervisorEvent } from '../events.ts'
import { ByteRing } from './byte-ring.ts'
import { decodeUtf8 } from './lines.ts'

/** The limit of the output that is kept of one process. */
export const HISTORY_CHARACTERS = 256 * 1024
/** Lines read at the same time form one block up to this size; blocks are dropped as a whole. */
const BLOCK_CHARACTERS = 16 * 1024
/** The limits of the messages that are kept about one process: the newest one is always kept. */
const MAX_MESSAGES = 200
const MESSAGE_CHARACTERS = 64 * 1024

export interface LogLine {
  /** The time when the line was read, in milliseconds since 1970. */
  readonly time: number
  readonly process: string
  readonly pid: number
  readonly stream: 'stdout' | 'stderr'
  readonly line: string
}

/** A message of the orchestrator. */
export interface LogMessage {
  readonly time: number
  /** The process that the message is about; null if it is about the whole graph. */
  readonly process: string | null
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  /** The event that the message describes, without quoted output; null for a message without an event. */
  readonly event: SupervisorEvent | null
}

export type LogEntry = LogLine | LogMessage

/** Whole lines of one stream that were read at the same time. `length` includes a newline after each. */
interface Block {
  readonly sequence: number
  readonly time: number
  readonly pid: number
  readonly stream: 'stdout' | 'stderr'
  length: number
}

/** A message between two blocks. */
interface Note {
  readonly sequence: number
  readonly message: LogMessage
  readonly size: number
}

interface History {
  /** In the order of their arrival. */
  readonly items: (Block | Note)[]
  readonly bytes: ByteRing
  /** The number of messages and their size. */
  messages: number
  messageSize: number
  /** The time when the newest dropped line was read; null if no line was dropped. */
  lostUntil: number | null
}

type Follower = (entries: readonly LogEntry[]) => void

/**
 * The last 256 KiB of output of each process, the last messages about it and about the whole graph (each at most 200, and about
 * 64 KiB), and a subscription to new ones.
 */
export class LogHistory {
  readonly #histories = new Map<string, History>()
  readonly #graph = emptyHistory()
  readonly #followers = new Set<Follower>()
  #sequence = 0

  /** Adds whole lines, joined by newlines, as a latin1 string. They are split only when they are read, because splitting is costly. */
  push(process: string, pid: number, stream: LogLine['stream'], lines: string): void {
    const time = Date.now()
    record(this.#of(process), { sequence: this.#sequence++, time, pid, stream, length: lines.length + 1 }, lines)
    if (this.#followers.size > 0) this.#publish(linesOf(lines, { time, process, pid, stream }))
  }

  pushMessage(content: Omit<LogMessage, 'time'>): void {
    const message = { time: Date.now(), ...content }
    const size = message.message.length + JSON.stringify(message.event).length
    const history = message.process === null ? this.#graph : this.#of(message.process)
    history.items.push({ sequence: this.#sequence++, message, size })
    history.messages += 1
    history.messageSize += size
    while (history.messages > 1 && (history.messages > MAX_MESSAGES || history.messageSize > MESSAGE_CHARACTERS)) {
      const oldest = history.items.findIndex((item) => 'message' in item)
      forget(history, history.items.splice(oldest, 1))
    }
    this.#publish([message])
  }

  /**
   * Returns everything that is kept about the processes, in the order of arrival. `withGraph`: the messages about the whole graph,
   * too.
   */
  read(processes: readonly string[], withGraph: boolean): LogEntry[] {
    const kept = processes.flatMap((name) => {
      const history = this.#histories.get(name)
      return history === undefined ? [] : entriesOf(name, history)
    })
    if (withGraph) kept.push(...entriesOf('', this.#graph))
    return kept.sort((a, b) => a.sequence - b.sequence).flatMap(({ entries }) => entries)
  }

  /** Returns the time when the newest dropped line of a process was read; null if all its lines are kept. */
  lostUntil(process: string): number | null {
    return this.#histories.get(process)?.lostUntil ?? null
  }

  /** Calls `follower` with all new lines and messages until the returned function is called. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower)
    return () => this.#followers.delete(follower)
  }

  /** Drops what is kept about all other processes. */
  retain(processes: readonly string[]): void {
    for (const name of this.#histories.keys()) if (!processes.includes(name)) this.#histories.delete(name)
  }

  #of(process: string): History {
    const known = this.#histories.get(process)
    if (known !== undefined) return known
    const created = emptyHistory()
    this.#histories.set(process, created)
    return created
  }

  #publish(entries: readonly LogEntry[]): void {
    for (const follower of this.#followers) follower(entries)
  }
}

function emptyHistory(): History {
  return { items: [], bytes: new ByteRing(), messages: 0, messageSize: 0, lostUntil: null }
}

function record(history: History, block: Block, lines: string): void {
  const { items, bytes } = history
  const { length } = block
  while (bytes.length > 0 && bytes.length + length > HISTORY_CHARACTERS) forget(history, items.splice(0, 1))
  bytes.append(lines)
  bytes.append('\n')
  const last = items.at(-1)
  if (last !== undefined && 'stream' in last && isJoinable(last, block)) last.length += length
  else items.push(block)
}

function isJoinable(last: Block, { time, pid, stream, length }: Block): boolean {
  return last.time === time && last.pid === pid && last.stream === stream && last.length + length <= BLOCK_CHARACTERS
}

/** Accounts for removed items; a removed block is the oldest one. */
function forget(history: History, removed: readonly (Block | Note)[]): void {
  for (const item of removed) {
    if ('message' in item) {
      history.messages -= 1
      history.messageSize -= item.size
    } else {
      history.bytes.drop(item.length)
      history.lostUntil = item.time
    }
  }
}

function entriesOf(
  process: string,
  { items, bytes }: History,
): { readonly sequence: number; readonly entries: readonly LogEntry[] }[] {
  const text = bytes.toString()
  let from = 0
  return items.map((item) => {
    const { sequence } = item
    if ('message' in item) return { sequence, entries: [item.message] }
    const { time, pid, stream, length } = item
    const lines = text.slice(from, from + length - 1)
    from += length
    return { sequence, entries: linesOf(lines, { time, process, pid, stream }) }
  })
}

function linesOf(lines: string, origin: Omit<LogLine, 'line'>): LogLine[] {
  return lines.split('\n').map((line) => ({ ...origin, line: decodeUtf8(line).text }))
}

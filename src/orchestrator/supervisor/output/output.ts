import type { Readable, Writable } from 'node:stream'
import type { ResolvedProcess } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../events.ts'
import {
  jsonWriter,
  plainWriter,
  terminalWriter,
  linePrefix,
  prefixWidth,
  loadPretty,
  type Pretty,
} from './line-writers.ts'
import type { LinesHandler, LineTap } from './lines.ts'
import { LogFiles } from './log-file.ts'
import { LogHistory } from './log-history.ts'
import { Sink } from './sink.ts'
import { roomInAll, StreamRelay } from './stream-relay.ts'

/** A reader that took nothing for this long at the end is not waited for any longer. */
const STALL_MS = 1000
const LOOK_EVERY_MS = 20
/** The orchestrator's own lines stand among those of the children, and align with them. */
const OWN_NAME = 'orchestrator'

export type StreamName = 'stdout' | 'stderr'

export interface OutputOptions {
  readonly output: { readonly stdout: Writable; readonly stderr: Writable }
  readonly logFormat: 'text' | 'json'
  readonly colour: { readonly stdout: boolean; readonly stderr: boolean }
}

export interface ChildStreams {
  readonly pid: number
  readonly stdout: Readable
  readonly stderr: Readable
}

/** Whose lines they are, and where they go. */
type Speaker = Pick<ResolvedProcess, 'name' | 'log'>

/** The way of all children's lines to the orchestrator's own stdout and stderr. */
export class Output {
  readonly #options: OutputOptions
  /** What the processes said last, and will say. */
  readonly history = new LogHistory()
  readonly #files: LogFiles
  #names: readonly string[] = []
  #width = 0
  readonly #sinks: Readonly<Record<StreamName, Sink>>
  readonly #relays = new Set<StreamRelay>()
  #pretty: Readonly<Record<StreamName, Pretty>> = { stdout: JSON.stringify, stderr: JSON.stringify }

  constructor(names: readonly string[], options: OutputOptions, emit: (event: SupervisorEvent) => void) {
    this.#options = options
    this.#files = new LogFiles(emit)
    this.rename(names)
    const { stdout, stderr } = options.output
    const onClosed = (stream: StreamName, reason: string) => emit({ type: 'output_closed', stream, reason })
    const first = new Sink(stdout, (reason) => onClosed('stdout', reason))
    const second = stderr === stdout ? first : new Sink(stderr, (reason) => onClosed('stderr', reason))
    this.#sinks = { stdout: first, stderr: second }
  }

  /** From now on these are the processes: what is attached later has their width, and their colours. */
  rename(names: readonly string[]): void {
    this.#names = names
    this.#width = prefixWidth([...names, OWN_NAME])
    this.#files.keep(names)
  }

  /** To be awaited before the first child: loads what makes JSON readable on a terminal, and only there. */
  async prepare(): Promise<void> {
    const { stdout, stderr } = this.#sinks
    if (this.#options.logFormat === 'json' || !(stdout.isTerminal || stderr.isTerminal)) return
    const { colour } = this.#options
    this.#pretty = { stdout: await loadPretty(colour.stdout), stderr: await loadPretty(colour.stderr) }
  }

  /** Shows a child's lines until its streams end. The answer is to be called when the child has exited, and awaited. */
  attach({ name: process, log }: Speaker, child: ChildStreams, tap: LineTap): () => Promise<void> {
    const file = log.file === null ? null : this.#files.of(process, log.file)
    const relays = (['stdout', 'stderr'] as const).map((stream) => {
      const sink = this.#sinks[stream]
      const write = log.quiet ? () => undefined : this.#writer(process, child.pid, stream)
      const rooms = [...(log.quiet ? [] : [sink]), ...(file === null ? [] : [file])]
      const relay = new StreamRelay(
        child[stream],
        rooms.length === 1 ? (rooms[0] ?? sink) : roomInAll(rooms),
        (lines) => {
          this.history.push(process, stream, lines)
          file?.append(lines)
          write(lines)
          tap.push(lines)
        },
      )
      this.#relays.add(relay)
      void relay.ended.then(() => this.#relays.delete(relay))
      return relay
    })
    return async () => {
      await Promise.all(relays.map((relay) => relay.childExited()))
    }
  }

  /** To be called before something is said about a child: on a terminal, what it was seen to say stands above. */
  flush(): void {
    this.#sinks.stdout.flush()
    this.#sinks.stderr.flush()
  }

  /** Resolves when every line is written; or when a stream has been stuck for a second, for a stop must end. */
  async finish(): Promise<void> {
    let progress = this.#progress()
    let since = performance.now()
    for (let turn = 0; !this.#isDone() && performance.now() - since < STALL_MS; turn++) {
      // The first turns cost no time: as a rule what is left is there already.
      await new Promise((resolve) => (turn < 8 ? setImmediate(resolve) : setTimeout(resolve, LOOK_EVERY_MS)))
      const now = this.#progress()
      if (now !== progress) since = performance.now()
      progress = now
    }
    for (const relay of this.#relays) relay.abandon()
    this.#sinks.stdout.close()
    this.#sinks.stderr.close()
    this.#files.close()
  }

  #writer(process: string, pid: number, stream: StreamName): LinesHandler {
    const sink = this.#sinks[stream]
    if (this.#options.logFormat === 'json') return jsonWriter(sink, { process, pid, stream })
    const colour = this.#options.colour[stream]
    const prefix = linePrefix(process, this.#width, colour ? this.#names.indexOf(process) : null)
    return sink.isTerminal ? terminalWriter(sink, prefix, this.#pretty[stream]) : plainWriter(sink, prefix)
  }

  #isDone(): boolean {
    const { stdout, stderr } = this.#sinks
    return this.#relays.size === 0 && stdout.isIdle && stderr.isIdle && this.#files.areIdle
  }

  #progress(): number {
    let sum = this.#sinks.stdout.written + this.#sinks.stderr.written + this.#files.written
    for (const relay of this.#relays) sum += relay.chunks
    return sum
  }
}

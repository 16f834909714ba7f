import type { Readable, Writable } from 'node:stream'
import { WriteStream } from 'node:tty'
import { stripVTControlCharacters } from 'node:util'
import type { ResolvedProcess } from '../../config/resolved.ts'
import type { Child } from '../child/child.ts'
import type { SupervisorEvent } from '../events.ts'
import { jsonWriter, plainWriter, terminalWriter, loadPretty, type Pretty } from './line-writers.ts'
import { sizeBesidePrefix, sizeOf, type TerminalSize } from '../terminal/size.ts'
import { ShownLines } from '../terminal/shown-lines.ts'
import { TerminalLines } from '../terminal/terminal-lines.ts'
import { type ProcessTerminal, ProcessTerminals } from '../terminal/process-terminal.ts'
import { type ChildDisplay, colourDepth, type ColourTerminal } from '../terminal/child-environment.ts'
import { describeExit } from '../rules/restart-policy.ts'
import { LineSplitter, type LinesHandler, type LineTap } from './lines.ts'
import type { LogFileProblems } from './log-file.ts'
import { LogFiles } from './log-files.ts'
import { LogHistory } from './log-history.ts'
import { Prefixes } from './prefixes.ts'
import { Sink, type SinkOptions } from './sink.ts'
import { type BackPressure, combine, type Splitter, StreamRelay } from './stream-relay.ts'

/** The time without progress after which `finish` abandons a stream. */
const STALL_MS = 1000
const POLL_MS = 20

export type StreamName = 'stdout' | 'stderr'

export interface OutputOptions extends SinkOptions {
  /** The destination of the children's lines. Other writers must write whole lines. */
  readonly output: { readonly stdout: Writable; readonly stderr: Writable }
  readonly logFormat: 'text' | 'json'
  /** Shows JSON records of the children as readable text even on pipes. */
  readonly forceReadable?: boolean
  /** Whether prefixes are coloured, for each stream. */
  readonly colour: { readonly stdout: boolean; readonly stderr: boolean }
  /** Renders the prefixes, also of the orchestrator's own lines; default: the names. */
  readonly prefixes?: Prefixes
  /** Keeps the last lines; default: a new one. */
  readonly history?: LogHistory
}

type NamedProcess = Pick<ResolvedProcess, 'name' | 'leftOut'>
type ChildStreams = Pick<Child, 'pid' | 'stdout' | 'stderr' | 'terminal' | 'exited'>

/** Passes the lines of all children to stdout and stderr, their log files, and the history. */
export class Output {
  readonly #options: OutputOptions
  readonly history: LogHistory
  readonly terminals = new ProcessTerminals()
  readonly #files: LogFiles
  readonly #prefixes: Prefixes
  readonly #sinks: Readonly<Record<StreamName, Sink>>
  readonly #relays = new Set<StreamRelay>()
  #pretty: Readonly<Record<StreamName, Pretty>> = { stdout: JSON.stringify, stderr: JSON.stringify }

  constructor(processes: readonly NamedProcess[], options: OutputOptions, emit: (event: SupervisorEvent) => void) {
    this.#options = options
    this.history = options.history ?? new LogHistory()
    this.#prefixes = options.prefixes ?? new Prefixes()
    this.#files = new LogFiles(emit)
    this.setProcesses(processes)
    const { stdout, stderr } = options.output
    const onClosed = (stream: StreamName, reason: string) => emit({ type: 'output_closed', stream, reason })
    const first = new Sink(stdout, (reason) => onClosed('stdout', reason), options)
    const second = stderr === stdout ? first : new Sink(stderr, (reason) => onClosed('stderr', reason), options)
    this.#sinks = { stdout: first, stderr: second }
    stdout.on('resize', this.#onResize)
  }

  /** Sets the processes, whose names determine the prefixes, and drops the logs of all others. */
  setProcesses(processes: readonly NamedProcess[]): void {
    const names = processes.map(({ name }) => name)
    this.#prefixes.setProcesses(processes)
    this.#files.retain(names)
    this.history.retain(names)
    this.terminals.retain(names)
    this.#onResize()
  }

  /** Returns the problems of the log file of a process; null without a file. */
  logFileOf(name: string): LogFileProblems | null {
    return this.#files.problemsOf(name)
  }

  /** Loads the formatter of JSON lines if it is needed. Await it before the first child starts. */
  async prepare(): Promise<void> {
    if (this.#options.logFormat === 'json' || !(this.#isReadable('stdout') || this.#isReadable('stderr'))) return
    const { colour } = this.#options
    this.#pretty = { stdout: await loadPretty(colour.stdout), stderr: await loadPretty(colour.stderr) }
  }

  /** Returns how a child must be started to fit to our own output. */
  displayOf({ name, log }: Pick<ResolvedProcess, 'name' | 'log'>): ChildDisplay {
    // Colours would be noise in a file.
    const isShown = !log.quiet && log.file === null && this.#options.logFormat === 'text'
    return { size: this.terminals.of(name).size, colours: isShown ? this.#colours() : null }
  }

  /** Passes a child's lines on until its streams end. The caller awaits the returned function when the child has exited. */
  attach({ name, log }: Pick<ResolvedProcess, 'name' | 'log'>, child: ChildStreams, tap: LineTap): () => Promise<void> {
    const file = log.file === null ? null : this.#files.of(name, log.file)
    const relay = (
      stream: StreamName,
      splitterOf: (record: LinesHandler, show: LinesHandler, isTerminal: boolean) => Splitter,
    ) => {
      const sink = this.#sinks[stream]
      const write = log.quiet ? () => undefined : this.#writer(name, child.pid, stream)
      const destinations = [...(log.quiet ? [] : [sink]), ...(file === null ? [] : [file])]
      const record = (lines: string) => {
        this.history.push(name, child.pid, stream, lines)
        file?.append(lines)
        tap.push(lines)
      }
      const isTerminal = sink.isTerminal && !log.quiet && this.#options.logFormat === 'text'
      const splitter = splitterOf(record, write, isTerminal)
      return this.#relay(child[stream], combine(destinations), splitter)
    }
    const own = child.terminal
    if (own === null) return restOf([relay('stdout', splitterFor), relay('stderr', splitterFor)])
    const terminal = this.terminals.of(name)
    terminal.childStarted(own)
    const readRest = restOf([relay('stdout', (record, show) => this.#terminalSplitter(terminal, both(record, show)))])
    void child.exited.then(async (exit) => {
      await readRest()
      terminal.childExited(own, describeExit(exit))
    })
    return readRest
  }

  /** Writes buffered lines. Call it before an event is reported, so that the preceding output of the children comes first. */
  flush(): void {
    this.#sinks.stdout.flush()
    this.#sinks.stderr.flush()
  }

  /** Resolves when every line is written, or when nothing was written for a second: a stuck reader must not prevent a stop. */
  async finish(): Promise<void> {
    let progress = this.#progress()
    let since = performance.now()
    for (let turn = 0; !this.#isDone() && performance.now() - since < STALL_MS; turn++) {
      // The rest is usually available within a few turns.
      await new Promise((resolve) => (turn < 8 ? setImmediate(resolve) : setTimeout(resolve, POLL_MS)))
      const now = this.#progress()
      if (now !== progress) since = performance.now()
      progress = now
    }
    for (const relay of this.#relays) relay.abandon()
    this.#options.output.stdout.off('resize', this.#onResize)
    this.#sinks.stdout.close()
    this.#sinks.stderr.close()
    this.#files.close()
  }

  #relay(source: Readable, pressure: BackPressure, splitter: Splitter): StreamRelay {
    const relay = new StreamRelay(source, pressure, splitter)
    this.#relays.add(relay)
    void relay.ended.then(() => this.#relays.delete(relay))
    return relay
  }

  /** Passes the raw output of a child on to its viewers, and its lines to `write`. */
  #terminalSplitter(terminal: ProcessTerminal, write: LinesHandler): Splitter {
    const keepsColours = this.#options.colour.stdout && this.#options.logFormat === 'text'
    const lines = new TerminalLines(keepsColours ? write : (text) => write(withoutColours(text)))
    return {
      push: (chunk) => {
        terminal.push(chunk)
        lines.push(chunk)
      },
      end: () => lines.end(),
    }
  }

  readonly #onResize = (): void => {
    this.terminals.setOwnSize(this.#sizeBesidePrefix())
  }

  #sizeBesidePrefix(): TerminalSize {
    return sizeBesidePrefix(sizeOf(this.#options.output.stdout), this.#prefixes.columns)
  }

  #colours(): ColourTerminal | null {
    const { colour, output } = this.#options
    const depth = colour.stdout && sizeOf(output.stdout) !== null ? depthOf(output.stdout) : null
    return depth === null ? null : { depth, columns: this.#sizeBesidePrefix().columns }
  }

  #writer(name: string, pid: number, stream: StreamName): LinesHandler {
    const sink = this.#sinks[stream]
    if (this.#options.logFormat === 'json') return jsonWriter(sink, { process: name, pid, stream })
    const prefix = this.#prefixes.of({ name, pid }, this.#options.colour[stream])
    return this.#isReadable(stream) ? terminalWriter(sink, prefix, this.#pretty[stream]) : plainWriter(sink, prefix)
  }

  #isReadable(stream: StreamName): boolean {
    return this.#options.forceReadable === true || this.#sinks[stream].isTerminal
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

/** Returns a function that reads the remaining output of a child that has exited. */
function restOf(relays: readonly StreamRelay[]): () => Promise<void> {
  return async () => {
    await Promise.all(relays.map((relay) => relay.childExited()))
  }
}

/** At a terminal, an unfinished line is shown too; elsewhere whole lines only. */
function splitterFor(record: LinesHandler, show: LinesHandler, isTerminal: boolean): Splitter {
  return isTerminal ? new ShownLines(record, show) : new LineSplitter(both(record, show))
}

function both(record: LinesHandler, show: LinesHandler): LinesHandler {
  return (lines) => {
    // A listener of a recorded line may report an event, which follows the line.
    show(lines)
    record(lines)
  }
}

function depthOf(stream: Writable): ColourTerminal['depth'] | null {
  return stream instanceof WriteStream ? colourDepth(stream.getColorDepth()) : null
}

function withoutColours(lines: string): string {
  return lines.includes('\u001b') ? stripVTControlCharacters(lines) : lines
}

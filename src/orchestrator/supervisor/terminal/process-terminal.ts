import type { Writable } from 'node:stream'
import { ByteRing } from '../output/byte-ring.ts'
import { DEFAULT_SIZE, smallest, type TerminalSize } from './size.ts'

/** The raw output that a new viewer receives first: more than a screen of text with colours. */
const HISTORY_BYTES = 32 * 1024
/** The limit of unread input, after which `write` asks its caller to wait. */
const MAX_INPUT_BYTES = 64 * 1024

/** The terminal of a running child. */
export interface ChildTerminal {
  readonly pid: number
  readonly input: Writable
  resize(size: TerminalSize): void
}

/** A connection that shows the raw output of a terminal. */
export interface Viewer {
  size: TerminalSize
  onOutput(bytes: Buffer): void
  /** Called when a child starts or has exited; the viewer stays attached. `text` describes it. */
  onNotice(text: string): void
  /** Called when the process no longer exists. */
  onRemoved(): void
}

/** The terminal of one process with `tty`, across its children: its recent output, its viewers and its size. */
export class ProcessTerminal {
  readonly #viewers = new Set<Viewer>()
  readonly #recent = new ByteRing()
  #ownSize: TerminalSize = DEFAULT_SIZE
  #child: ChildTerminal | null = null
  /** False if the oldest bytes of `#recent` were dropped. */
  #isComplete = true

  /** The size of the next child. With viewers it is the smallest of their sizes, otherwise the orchestrator's own. */
  get size(): TerminalSize {
    return smallest(Array.from(this.#viewers, ({ size }) => size)) ?? this.#ownSize
  }

  /** Sets the size that applies without viewers. */
  setOwnSize(size: TerminalSize): void {
    this.#ownSize = size
    this.#resize()
  }

  childStarted(child: ChildTerminal): void {
    this.#child = child
    this.#recent.drop(this.#recent.length)
    this.#isComplete = true
    for (const viewer of this.#viewers) viewer.onNotice(`started (pid ${child.pid})`)
  }

  childExited(child: ChildTerminal, description: string): void {
    if (this.#child === child) this.#child = null
    for (const viewer of this.#viewers) viewer.onNotice(description)
  }

  /** Receives output of the child. */
  push(bytes: Buffer): void {
    const kept = bytes.subarray(-HISTORY_BYTES)
    const excess = this.#recent.length + kept.length - HISTORY_BYTES
    if (excess > 0 || kept.length < bytes.length) this.#isComplete = false
    if (excess > 0) this.#recent.drop(excess)
    this.#recent.append(kept.toString('latin1'))
    for (const viewer of this.#viewers) viewer.onOutput(bytes)
  }

  /** Types into the terminal. Without a child the input is dropped. Returns false if the caller must wait for `onDrained`. */
  write(bytes: Buffer): boolean {
    const input = this.#child?.input
    if (input === undefined || input.destroyed) return true
    input.write(bytes)
    return input.writableLength < MAX_INPUT_BYTES
  }

  /** Calls `act` once the child has read its input, or has ended. */
  onDrained(act: () => void): void {
    const input = this.#child?.input
    if (input === undefined || input.destroyed || input.writableLength < MAX_INPUT_BYTES) return act()
    const once = () => {
      input.off('drain', once)
      input.off('close', once)
      act()
    }
    input.on('drain', once).on('close', once)
  }

  /** Shows the recent output to a viewer, and new output until the returned function is called. */
  attach(viewer: Viewer): () => void {
    viewer.onOutput(Buffer.from(this.#recentFromLine(), 'latin1'))
    if (this.#child === null) viewer.onNotice('not running')
    this.#viewers.add(viewer)
    this.#resize()
    return () => {
      if (this.#viewers.delete(viewer)) this.#resize()
    }
  }

  /** Applies a changed size of a viewer. */
  viewerResized(): void {
    this.#resize()
  }

  /** Detaches all viewers, because the process no longer exists. */
  remove(): void {
    for (const viewer of this.#viewers) viewer.onRemoved()
    this.#viewers.clear()
  }

  /** Returns the recent output; if its beginning is missing, from the first whole line on. */
  #recentFromLine(): string {
    const recent = this.#recent.toString()
    return this.#isComplete ? recent : recent.slice(recent.indexOf('\n') + 1)
  }

  #resize(): void {
    this.#child?.resize(this.size)
  }
}

/** The terminals of the processes with `tty`, by name. */
export class ProcessTerminals {
  readonly #terminals = new Map<string, ProcessTerminal>()
  #ownSize: TerminalSize = DEFAULT_SIZE

  /** Returns the terminal of a process, which exists from its first use on. */
  of(name: string): ProcessTerminal {
    const found = this.#terminals.get(name)
    if (found !== undefined) return found
    const terminal = new ProcessTerminal()
    terminal.setOwnSize(this.#ownSize)
    this.#terminals.set(name, terminal)
    return terminal
  }

  setOwnSize(size: TerminalSize): void {
    this.#ownSize = size
    for (const terminal of this.#terminals.values()) terminal.setOwnSize(size)
  }

  /** Removes the terminals of all other processes. */
  retain(names: readonly string[]): void {
    for (const [name, terminal] of this.#terminals) {
      if (names.includes(name)) continue
      this.#terminals.delete(name)
      terminal.remove()
    }
  }
}

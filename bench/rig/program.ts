import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import type { Readable } from 'node:stream'
import { peakMemory, processorTime } from '../supervisor/proc.ts'

/** Node flags to write CPU profiles for Chrome's developer tools. */
export const PROFILE = ['--cpu-prof', '--cpu-prof-dir=.ponix/bench/profiles']

/** A child process that is observed through its log. */
export class BenchProgram {
  readonly #child: ChildProcessByStdio<null, Readable, null>
  readonly #lines: Interface
  /** Rejects when the process ends before `stop`. */
  readonly #ended: Promise<never>
  #stopping = false

  /** Starts a process; `args` are flags of Node, the program and its arguments. */
  constructor(args: readonly string[], environment: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, args, { env: environment, stdio: ['ignore', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#child.stdout })
    this.#lines.setMaxListeners(0)
    this.#ended = once(this.#child, 'exit').then(() => {
      if (!this.#stopping) throw new Error(`${args.join(' ')} ended unexpectedly`)
      return new Promise<never>(() => {})
    })
    this.#ended.catch(() => undefined)
  }

  /** Resolves with the time of the next log line that contains this text, or of the last of so many lines. */
  async logLine(text: string, times = 1): Promise<number> {
    await this.#nextLine(text, times)
    return performance.now()
  }

  /** Sends a signal; resolves with the next log line that contains this text. */
  async answer(signal: NodeJS.Signals, text: string): Promise<string> {
    const line = this.#nextLine(text)
    this.#child.kill(signal)
    return await line
  }

  async #nextLine(text: string, times = 1): Promise<string> {
    let left = times
    const logged = new Promise<string>((resolve) => {
      const onLine = (line: string): void => {
        if (!line.includes(text) || (left -= 1) > 0) return
        this.#lines.off('line', onLine)
        resolve(line)
      }
      this.#lines.on('line', onLine)
    })
    return await Promise.race([logged, this.#ended])
  }

  /** Resolves to the result of `work`; rejects if the process ends first. */
  async during<T>(work: Promise<T>): Promise<T> {
    return await Promise.race([work, this.#ended])
  }

  /** Peak memory in MB. */
  get megabytes(): number {
    return peakMemory(this.#child.pid ?? 0)
  }

  /** Processor time in ms. */
  get processorMs(): number {
    return processorTime(this.#child.pid ?? 0)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await gone
  }
}

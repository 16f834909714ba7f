import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import { peakMemory, processorTime } from '../supervisor/proc.ts'

/** A program of the bench, as a child process that speaks by its log. */
export class BenchProgram {
  readonly #child: ChildProcess
  readonly #lines: Interface
  /** Rejects when it ends before it is told to. */
  readonly #ended: Promise<never>
  #stopping = false

  constructor(path: string, args: readonly string[], environment: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, [...args.filter(isFlag), path, ...args.filter((arg) => !isFlag(arg))], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (this.#child.stdout === null) throw new Error('no pipe for the log')
    this.#lines = createInterface({ input: this.#child.stdout })
    this.#lines.setMaxListeners(0)
    this.#ended = once(this.#child, 'exit').then(() => {
      if (!this.#stopping) throw new Error(`${path} ended before it was done`)
      return new Promise<never>(() => {})
    })
    this.#ended.catch(() => undefined)
  }

  /** Resolves with the time when a line of the log has this text. */
  async says(text: string): Promise<number> {
    const said = new Promise<number>((resolve) => {
      this.#lines.on('line', (line) => line.includes(text) && resolve(performance.now()))
    })
    return await Promise.race([said, this.#ended])
  }

  /** Resolves as the work does; rejects when the program ends before. */
  async during<T>(work: Promise<T>): Promise<T> {
    return await Promise.race([work, this.#ended])
  }

  /** The most memory it has had, in MB. */
  get megabytes(): number {
    return peakMemory(this.#child.pid ?? 0)
  }

  /** Processor time it has used, in ms. */
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

function isFlag(arg: string): boolean {
  return arg.startsWith('--')
}

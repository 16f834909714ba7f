import { spawn } from 'node:child_process'
import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { once } from 'node:events'

/** How a program ended, and all that it said. */
export interface Ended {
  /** Null if a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A program that a test starts, reads and ends. Its descriptor 3 is a pipe, for NOTIFY_FD. */
export class ProgramRun {
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown>
  readonly #notified: Promise<boolean>
  #stdout = ''
  #stderr = ''

  constructor(command: string, args: readonly string[], options: SpawnOptions) {
    this.#child = spawn(command, args, { ...options, stdio: ['pipe', 'pipe', 'pipe', 'pipe'] })
    this.#closed = once(this.#child, 'close')
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text))
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
    const notify = this.#child.stdio[3]
    this.#notified = new Promise((resolve) => {
      notify?.once('data', () => resolve(true)).once('close', () => resolve(false))
    })
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('it was not started')
    return this.#child.pid
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Lets go of its standard input. */
  endInput(): void {
    this.#child.stdin?.end()
  }

  /** Resolves when it has said this. */
  async says(text: string | RegExp): Promise<void> {
    while (!this.#said(text)) {
      const { stdout, stderr } = this.#child
      if (this.#child.exitCode !== null || stdout === null || stderr === null) {
        throw new Error(`it ended and did not say ${text}:\n${this.#stdout}${this.#stderr}`)
      }
      await Promise.race([once(stdout, 'data'), once(stderr, 'data'), this.#closed])
    }
  }

  /** Resolves when it has written to NOTIFY_FD. */
  async ready(): Promise<void> {
    if (await this.#notified) return
    await this.#closed
    throw new Error(`it ended and was never ready:\n${this.#stdout}${this.#stderr}`)
  }

  async end(): Promise<Ended> {
    await this.#closed
    return { code: this.#child.exitCode, stdout: this.#stdout, stderr: this.#stderr }
  }

  #said(text: string | RegExp): boolean {
    const said = this.#stdout + this.#stderr
    return typeof text === 'string' ? said.includes(text) : text.test(said)
  }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { StopPlan } from './stop-plan.ts'

const DONE = 'done'
/** Changes in quick succession are written once; children started in between are found by their run tag. */
const COALESCE_MS = 20

/** The mode of a terminal; `current` and `before` are arguments of stty. */
export interface TerminalMode {
  /** The path of the terminal, such as `/dev/pts/3`. */
  readonly path: string
  readonly before: string
  readonly current: string
}

export interface GuardOptions {
  readonly configPath: string
  /** Path of the lock file, which is created if its folder exists. */
  readonly lockPath: string
  /** The path of ponix-guard.sh. */
  readonly program: string
  /** Returns the plan; null before the first process starts, and after the last has exited. */
  makePlan(): StopPlan | null
  /** Called when the guard exited without `release` or `dismiss`. */
  onLost(): void
}

/**
 * The guard: a shell in a separate session, which continues to run after the orchestrator has ended. A shell uses 1 MB of memory,
 * Node.js 40 MB. See ponix-guard.sh.
 */
export class Guard {
  /** Resolves when the guard holds the lock; rejects if it could not be started. */
  readonly held: Promise<void>
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  readonly #makePlan: () => StopPlan | null
  #timer: NodeJS.Timeout | null = null
  #lastLine = ''
  #released = false

  constructor(options: GuardOptions) {
    this.#makePlan = () => options.makePlan()
    this.#child = spawn('/bin/sh', [options.program, options.configPath], {
      cwd: '/',
      detached: true,
      env: {
        PATH: process.env['PATH'] ?? '/usr/bin:/bin',
        PONIX_GUARD_LOCK: options.lockPath,
        PONIX_GUARD_NODE: process.execPath,
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    // EPIPE after the guard exited; `close` reports the exit.
    this.#child.stdin?.on('error', () => undefined)
    let isHeld = false
    this.held = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', () => reject(new Error(`the guard could not lock ${options.lockPath}`)))
      const { stdout } = this.#child
      if (stdout === null) return
      createInterface({ input: stdout }).on('line', (line) => {
        if (line !== 'held') return
        isHeld = true
        resolve()
      })
    })
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', () => resolve())
      this.#child.once('close', () => {
        if (isHeld && !this.#released) options.onLost()
        resolve()
      })
    })
  }

  /** Sends the plan to the guard: the first immediately, later plans after a short delay that coalesces changes. */
  planChanged(): void {
    if (this.#lastLine === '') this.#write()
    else this.#timer ??= setTimeout(() => this.#write(), COALESCE_MS).unref()
  }

  /** Sends the mode to restore to the guard immediately. */
  setTerminal(mode: TerminalMode | null): void {
    const { stdin } = this.#child
    if (stdin === null || stdin.destroyed) return
    stdin.write(mode === null ? 'terminal\n' : `terminal ${mode.path} ${mode.current} ${mode.before}\n`)
  }

  /** Ends the guard and frees the lock. Resolves when it has exited. */
  async release(): Promise<void> {
    this.#released = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#child.stdin?.end(`${DONE}\n`)
    await this.#exited
  }

  /** Kills a guard that does not hold the lock yet. */
  dismiss(): void {
    this.#released = true
    const { pid } = this.#child
    if (pid === undefined || this.#child.exitCode !== null) return
    process.kill(-pid, 'SIGKILL')
  }

  #write(): void {
    this.#timer = null
    const { stdin } = this.#child
    if (stdin === null || stdin.destroyed) return
    if (stdin.writableNeedDrain) {
      stdin.once('drain', () => this.#write())
      return
    }
    const plan = this.#makePlan()
    if (plan === null) return
    const line = JSON.stringify(plan)
    if (line === this.#lastLine) return
    this.#lastLine = line
    stdin.write(`${line}\n`)
  }
}

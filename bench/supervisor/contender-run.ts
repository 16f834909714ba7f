import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchChild, Contender } from './contender.ts'
import { peakMemory } from './proc.ts'

const LOOK_EVERY_MS = 20
const STOP_MS = 30_000

/** A contender at work on one job. Its stdout goes to a file. */
export class ContenderRun {
  /** Empty at the start, and removed with all it holds at the end. */
  readonly folder: string
  readonly startedAt: number
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  #peak = 0

  /** `children` is given the run's folder, for what they are to leave there. */
  constructor(
    contender: Contender,
    scratch: string,
    { children, restarts }: { children: (folder: string) => readonly BenchChild[]; restarts: boolean },
  ) {
    mkdirSync(scratch, { recursive: true })
    this.folder = mkdtempSync(join(scratch, 'run-'))
    const { args, env } = contender.command({ folder: this.folder, children: children(this.folder), restarts })
    const [stdout, stderr] = [openSync(this.outputPath, 'w'), openSync(join(this.folder, 'stderr'), 'w')]
    this.startedAt = performance.now()
    const [command, ...rest] = args
    this.#child = spawn(command, rest, {
      cwd: this.folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', stdout, stderr],
    })
    this.#exited = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('exit', () => resolve())
    })
    closeSync(stdout)
    closeSync(stderr)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get outputPath(): string {
    return join(this.folder, 'stdout')
  }

  /** The most memory it has had while it was waited for, in MB. */
  get peakMegabytes(): number {
    return this.#peak
  }

  /** When the last byte came into the file, in ms since 1970. */
  get lastWriteAt(): number {
    return statSync(this.outputPath).mtimeMs
  }

  /** Resolves when it has ended by itself. Throws with what it said if `ms` were not enough. */
  async ended(ms: number): Promise<void> {
    const look = setInterval(() => {
      this.#peak = Math.max(this.#peak, peakMemory(this.pid))
    }, LOOK_EVERY_MS)
    try {
      await this.#within(ms)
    } finally {
      clearInterval(look)
    }
  }

  /** Tells it to stop everything; resolves with how long that took, in ms. */
  async stop(signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM'): Promise<number> {
    const since = performance.now()
    this.#child.kill(signal)
    await this.#within(STOP_MS)
    return performance.now() - since
  }

  /** Kills what is left of it, and removes its folder. */
  dispose(): void {
    this.#child.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  async #within(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not over after ${ms} ms: ${this.#said()}`)), ms)
    })
    try {
      await Promise.race([this.#exited, late])
    } finally {
      clearTimeout(timer)
    }
  }

  #said(): string {
    return readFileSync(join(this.folder, 'stderr'), 'utf8').trim().split('\n').slice(-5).join(' | ')
  }
}

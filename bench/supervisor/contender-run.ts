import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchChild, Contender } from './peers.ts'
import { peakMemory } from './proc.ts'
import { PidPipe } from './pid-pipe.ts'

const SAMPLE_EVERY_MS = 20
const STOP_MS = 30_000

/** One run of a contender. Its stdout goes to a file. */
export class ContenderRun {
  /** Empty at the start; removed by `dispose`. */
  readonly folder: string
  readonly startedAt: number
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  #peak = 0

  /** `children` receives the folder of the run, where children can write files. */
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

  /** Peak memory while `ended` waited, in MB. */
  get peakMegabytes(): number {
    return this.#peak
  }

  /** Time of the last write to the output file, in ms since 1970. */
  get lastWriteAt(): number {
    return statSync(this.outputPath).mtimeMs
  }

  /** Resolves when the contender has exited without a signal. Rejects with its last stderr lines after `ms`. */
  async ended(ms: number): Promise<void> {
    const sampler = setInterval(() => {
      this.#peak = Math.max(this.#peak, peakMemory(this.pid))
    }, SAMPLE_EVERY_MS)
    try {
      await this.#within(ms)
    } finally {
      clearInterval(sampler)
    }
  }

  /** Sends the signal; resolves with the time until the contender has exited, in ms. */
  async stop(signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM'): Promise<number> {
    const since = performance.now()
    this.#child.kill(signal)
    await this.#within(STOP_MS)
    return performance.now() - since
  }

  /** Kills the contender if it still runs and removes the folder. */
  dispose(): void {
    this.#child.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  async #within(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<void>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`still running after ${ms} ms: ${this.#lastStderr()}`)), ms)
    })
    try {
      await Promise.race([this.#exited, timeout])
    } finally {
      clearTimeout(timer)
    }
  }

  #lastStderr(): string {
    return readFileSync(join(this.folder, 'stderr'), 'utf8').trim().split('\n').slice(-5).join(' | ')
  }
}

/** Starts `count` children under a contender, calls `measure` when all are up, then ends everything. */
export async function withChildren<T>(
  contender: Contender,
  { scratch, count, restarts }: { readonly scratch: string; readonly count: number; readonly restarts: boolean },
  measure: (run: ContenderRun, pidPipe: PidPipe, upAfterMs: number) => Promise<T>,
): Promise<T> {
  const pidPipe = new PidPipe(scratch)
  try {
    const run = new ContenderRun(contender, scratch, {
      restarts,
      children: () => Array.from({ length: count }, (_, child) => pidPipe.child(`child${child}`)),
    })
    try {
      await pidPipe.started(count)
      return await measure(run, pidPipe, performance.now() - run.startedAt)
    } finally {
      run.dispose()
    }
  } finally {
    pidPipe.dispose()
  }
}

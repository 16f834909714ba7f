import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { GuardPlan } from './plan.ts'

/**
 * The guard itself is a shell, because one that waits takes a megabyte where Node takes forty. It holds the lock for as
 * long as anything of this run may live, reads plans, of which the last counts, and acts when its pipe closes without a
 * word: whatever became of the orchestrator, the kernel closes the pipe. `flock` (util-linux, busybox) is not everywhere;
 * without it two runs at the same moment are told apart by the record alone.
 */
const SCRIPT = `
trap '' HUP INT TERM
exec 9>>"$1" || exit 73
if command -v flock >/dev/null; then flock 9; fi
echo held
exec >/dev/null
plan=done
while IFS= read -r line; do plan=$line; done
[ "$plan" = done ] || printf '%s\\n' "$plan" | "$2" "$3"
`
const DONE = 'done'
/** Plans that follow each other closely are written once: what was started meanwhile carries the mark. */
const COALESCE_MS = 20

export interface GuardOptions {
  /** Exists, or its folder does. */
  readonly lockPath: string
  /** The built program that carries a plan out. */
  readonly program: string
  /** It was killed: from now on nobody guards. Not called for an end that was asked for. */
  onLost(): void
}

/** A small process, in a session of its own, that outlives the orchestrator to stop what it started (O-38). */
export class Guard {
  /** Resolves when the lock is held; rejects if the guard could not be started. */
  readonly held: Promise<void>
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #makePlan: (() => GuardPlan) | null = null
  #timer: NodeJS.Timeout | null = null
  #lastLine = ''
  #released = false

  constructor(options: GuardOptions) {
    const args = ['-c', SCRIPT, 'ponix-guard', options.lockPath, process.execPath, options.program]
    this.#child = spawn('/bin/sh', args, {
      cwd: '/',
      detached: true,
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    // A guard that is gone takes no more plans; its end is told by `close`.
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
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', () => resolve())
      this.#child.once('close', () => {
        if (isHeld && !this.#released) options.onLost()
        resolve()
      })
    })
  }

  /** `makePlan` is asked at once the first time, later soon, and then for what is so by then. */
  protect(makePlan: () => GuardPlan): void {
    const isFirst = this.#makePlan === null
    this.#makePlan = makePlan
    if (isFirst) this.#write()
    else this.#timer ??= setTimeout(() => this.#write(), COALESCE_MS).unref()
  }

  /** Nothing is left to guard: it goes, and with it the lock. Resolves when it is gone. */
  async release(): Promise<void> {
    this.#released = true
    this.#makePlan = null
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#child.stdin?.end(`${DONE}\n`)
    await this.#ended
  }

  /** It never held anything, and is to wait no longer. */
  dismiss(): void {
    this.#released = true
    const { pid } = this.#child
    if (pid === undefined || this.#child.exitCode !== null) return
    process.kill(-pid, 'SIGKILL')
  }

  #write(): void {
    this.#timer = null
    const { stdin } = this.#child
    if (this.#makePlan === null || stdin === null || stdin.destroyed) return
    if (stdin.writableNeedDrain) {
      stdin.once('drain', () => this.#write())
      return
    }
    const line = JSON.stringify(this.#makePlan())
    if (line === this.#lastLine) return
    this.#lastLine = line
    stdin.write(`${line}\n`)
  }
}

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { BenchChild } from './contender.ts'

const LONGEST_MS = 60_000

/**
 * Children that say at their start, through a pipe with a name, who they are: the pid is theirs for life. A figure is taken
 * at the line's arrival, by event.
 */
export class RollCall {
  readonly #path: string
  readonly #reader: ChildProcess
  readonly #pids: number[] = []
  #onPid: () => void = () => {}

  constructor(scratch: string) {
    this.#path = join(scratch, `roll-call-${process.hrtime.bigint()}`)
    spawnSync('mkfifo', [this.#path])
    // Opened for writing too: it never ends while nobody happens to write.
    this.#reader = spawn('/bin/sh', ['-c', 'exec cat <> "$0"', this.#path], { stdio: ['ignore', 'pipe', 'inherit'] })
    if (this.#reader.stdout !== null) {
      createInterface({ input: this.#reader.stdout }).on('line', (line) => {
        this.#pids.push(Number(line))
        this.#onPid()
      })
    }
  }

  /** Everyone that has started so far, in that order. */
  get pids(): readonly number[] {
    return this.#pids
  }

  child(name: string): BenchChild {
    return { name, line: `echo $$ > ${this.#path}; exec sleep 10000` }
  }

  /** Resolves when `count` have started, ever. */
  async started(count: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`${this.#pids.length} of ${count} up after ${LONGEST_MS} ms`)),
        LONGEST_MS,
      )
    })
    const complete = new Promise<void>((resolve) => {
      this.#onPid = () => {
        if (this.#pids.length >= count) resolve()
      }
      this.#onPid()
    })
    try {
      await Promise.race([complete, late])
    } finally {
      clearTimeout(timer)
    }
  }

  dispose(): void {
    this.#reader.kill('SIGKILL')
    rmSync(this.#path, { force: true })
    for (const pid of this.#pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // As it should be: it was stopped.
      }
    }
  }
}

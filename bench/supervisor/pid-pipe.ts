import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { BenchChild } from './peers.ts'

const LONGEST_MS = 60_000

/** A named pipe to which every child writes its pid when it starts, so that starts are measured by event. */
export class PidPipe {
  readonly #path: string
  readonly #reader: ChildProcess
  readonly #pids: number[] = []
  #onPid: () => void = () => {}

  constructor(scratch: string) {
    this.#path = join(scratch, `pids-${process.hrtime.bigint()}`)
    spawnSync('mkfifo', [this.#path])
    // Opened for writing too: without a writer the reader would get an end of file.
    this.#reader = spawn('/bin/sh', ['-c', 'exec cat <> "$0"', this.#path], { stdio: ['ignore', 'pipe', 'inherit'] })
    if (this.#reader.stdout !== null) {
      createInterface({ input: this.#reader.stdout }).on('line', (line) => {
        this.#pids.push(Number(line))
        this.#onPid()
      })
    }
  }

  /** Pids of all children started so far, in order. */
  get pids(): readonly number[] {
    return this.#pids
  }

  child(name: string): BenchChild {
    return { name, line: `echo $$ > ${this.#path}; exec sleep 10000` }
  }

  /** Resolves when `count` children have started since the pipe was created. */
  async started(count: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<void>((_, reject) => {
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
      await Promise.race([complete, timeout])
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
        // Already stopped.
      }
    }
  }
}

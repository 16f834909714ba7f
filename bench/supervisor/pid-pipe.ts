import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { BenchChild } from './peers.ts'

const LONGEST_MS = 60_000

/** A named pipe to which every child writes its pid when it starts, so that starts are measured by event. */
export class PidPipe {
  readonly #path: string
  readonly #reader: ChildProcessByStdio<null, Readable, null>
  readonly #pids: number[] = []
  readonly #lines: Interface

  constructor(scratch: string) {
    this.#path = join(scratch, `pids-${process.hrtime.bigint()}`)
    spawnSync('mkfifo', [this.#path])
    // Open for writing too: without a writer the reader would receive an end of file.
    this.#reader = spawn('/bin/sh', ['-c', 'exec cat <> "$0"', this.#path], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#reader.stdout }).on('line', (line) => this.#pids.push(Number(line)))
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
    const signal = AbortSignal.timeout(LONGEST_MS)
    try {
      while (this.#pids.length < count) await once(this.#lines, 'line', { signal })
    } catch (cause) {
      throw new Error(`${this.#pids.length} of ${count} up after ${LONGEST_MS} ms`, { cause })
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

import { PassThrough } from 'node:stream'
import type { ResolvedProcess } from '../../../src/orchestrator/config/resolved.ts'
import type { ExitResult } from '../../../src/orchestrator/supervisor/events.ts'
import type { Group, TerminateOptions } from '../../../src/orchestrator/supervisor/child/process-group.ts'
import { sleep } from '../../../src/orchestrator/supervisor/timers.ts'
import type { SpawnResult } from '../../../src/orchestrator/supervisor/child/child.ts'

/** A child without a process of the operating system, for tests on virtual time. */
export class FakeChild {
  readonly name: string
  readonly pid: number
  readonly exited: Promise<ExitResult>
  readonly stdout = new PassThrough()
  readonly stderr = new PassThrough()
  /** Whether only SIGKILL ends the child. */
  isStubborn = false
  #resolve: (exit: ExitResult) => void = () => {}
  #isAlive = true

  constructor(name: string, pid: number) {
    this.name = name
    this.pid = pid
    this.exited = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  end(exit: ExitResult): void {
    if (!this.#isAlive) return
    this.#isAlive = false
    this.stdout.end()
    this.stderr.end()
    this.#resolve(exit)
  }
}

/** Starts fake children. */
export class FakeChildren {
  readonly all: FakeChild[] = []
  /** The listener, called before a child starts and before it is signalled. */
  readonly #check: (act: 'start' | 'end', name: string, running: readonly string[]) => void
  /** Names whose next start fails. */
  readonly broken = new Set<string>()
  #lastPid = 1_000_000

  constructor(check: (act: 'start' | 'end', name: string, running: readonly string[]) => void) {
    this.#check = check
  }

  get running(): readonly FakeChild[] {
    return this.all.filter((child) => child.isAlive)
  }

  readonly spawn = (definition: ResolvedProcess): SpawnResult => {
    const { name } = definition
    this.#check('start', name, this.#names())
    if (this.broken.delete(name)) return { type: 'failed', message: Promise.resolve('broken') }
    const child = new FakeChild(name, ++this.#lastPid)
    this.all.push(child)
    const { pid, stdout, stderr, exited } = child
    return {
      type: 'spawned',
      child: { pid, stdout, stderr, exited, notifications: null, terminal: null, group: this.#groupOf(child) },
    }
  }

  #names(): readonly string[] {
    return this.running.map((child) => child.name)
  }

  #groupOf(child: FakeChild): Group {
    const signal = (signal: NodeJS.Signals | 0): boolean => {
      if (signal === 'SIGKILL' || (signal !== 0 && !child.isStubborn)) child.end({ code: null, signal })
      return child.isAlive
    }
    const terminate = async (options: TerminateOptions): Promise<readonly number[]> => {
      this.#check('end', child.name, this.#names())
      signal(options.signal)
      const over = new AbortController()
      void child.exited.then(() => over.abort())
      await sleep(options.timeoutMs, over.signal)
      if (child.isAlive) options.onKill()
      signal('SIGKILL')
      return []
    }
    return { id: child.pid, isEmpty: () => !child.isAlive, members: () => [], signal, terminate }
  }
}

import type { ResolvedProcess } from './config/resolved.ts'
import type { ExitResult } from './events.ts'
import { LineTap } from './output/line-tap.ts'
import type { Output } from './output/output.ts'
import type { ProbeListener } from './probes/poll.ts'
import { startProbe } from './probes/probe.ts'
import { ProcessGroup } from './process-group.ts'
import type { Child } from './spawn-child.ts'

export interface RunContext {
  readonly output: Output
  readonly mark: string
}

/** One child from its start to its end, with its group, its lines and its probes; all of it is over when it exits. */
export class ChildRun {
  readonly child: Child
  readonly group: ProcessGroup
  readonly lines = new LineTap()
  readonly exited: Promise<ExitResult>
  /** On the clock of `performance.now()`. */
  readonly startedAt = performance.now()
  /** Resolves when what the child wrote has been read; call it after its exit. */
  readonly outputRead: () => Promise<void>
  readonly #definition: ResolvedProcess
  readonly #mark: string
  readonly #listener: ProbeListener
  readonly #over = new AbortController()

  constructor(definition: ResolvedProcess, child: Child, { output, mark }: RunContext, listener: ProbeListener) {
    this.#definition = definition
    this.#mark = mark
    this.#listener = listener
    this.child = child
    this.group = new ProcessGroup(child.pid)
    this.outputRead = output.attach(definition.name, child, this.lines)
    this.exited = this.#awaitExit()
  }

  /** Aborted when the child has exited, or is to be watched no longer. */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  /** Starts its readiness probe, if it has one. */
  watch(): void {
    const { readinessProbe, cwd, env } = this.#definition
    if (readinessProbe === null) return
    const { notifications } = this.child
    startProbe(
      readinessProbe,
      { lines: this.lines, notifications, cwd, env, mark: this.#mark },
      this.#listener,
      this.signal,
    )
  }

  endWatch(): void {
    this.#over.abort()
  }

  async #awaitExit(): Promise<ExitResult> {
    const exit = await this.child.exited
    this.endWatch()
    return exit
  }
}

import type { ResolvedProcess } from '../config/resolved.ts'
import type { ExitResult } from './events.ts'
import { LineTap } from './output/lines.ts'
import type { Output } from './output/output.ts'
import { startLivenessProbe, startProbe } from './probes/probe.ts'
import type { Group } from './process-group.ts'
import type { Child } from './child.ts'

/** One reason for all: creating an Error for each exit would dominate a mass shutdown. */
const OVER = 'over'

export interface RunContext {
  readonly output: Output
  readonly runTag: string
}

export interface RunListener {
  readonly onReady: () => void
  readonly onUnhealthy: (reason: string) => void
  /** It failed its liveness probe. */
  readonly onDead: (reason: string) => void
}

/** One child from its start to its end, with its group, its lines and its probes; all of it is over when it exits. */
export class ChildRun {
  readonly child: Child
  readonly group: Group
  readonly lines = new LineTap()
  readonly exited: Promise<ExitResult>
  /** On the clock of `performance.now()`. */
  readonly startedAt = performance.now()
  /** Resolves when what the child wrote has been read; call it after its exit. */
  readonly outputRead: () => Promise<void>
  readonly #definition: ResolvedProcess
  readonly #runTag: string
  readonly #listener: RunListener
  readonly #over = new AbortController()

  constructor(definition: ResolvedProcess, child: Child, { output, runTag }: RunContext, listener: RunListener) {
    this.#definition = definition
    this.#runTag = runTag
    this.#listener = listener
    this.child = child
    this.group = child.group
    this.outputRead = output.attach(definition, child, this.lines)
    this.exited = this.#awaitExit()
  }

  /** Aborted when the child has exited, or is to be watched no longer. */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  /** Starts its readiness probe; without one it counts as ready, so that its liveness is asked for at once. */
  watch(): void {
    const { readinessProbe, cwd, env } = this.#definition
    if (readinessProbe === null) {
      this.#watchLiveness()
      return
    }
    const { notifications } = this.child
    const probed = { lines: this.lines, notifications, cwd, env, mark: this.#runTag }
    let watched = false
    const onReady = () => {
      this.#listener.onReady()
      if (!watched) this.#watchLiveness()
      watched = true
    }
    startProbe(readinessProbe, probed, { onReady, onUnhealthy: this.#listener.onUnhealthy }, this.signal)
  }

  #watchLiveness(): void {
    const { livenessProbe, cwd, env } = this.#definition
    if (livenessProbe === null || this.signal.aborted) return
    startLivenessProbe(livenessProbe, { cwd, env, mark: this.#runTag }, this.#listener.onDead, this.signal)
  }

  endWatch(): void {
    this.#over.abort(OVER)
  }

  async #awaitExit(): Promise<ExitResult> {
    const exit = await this.child.exited
    this.endWatch()
    return exit
  }
}

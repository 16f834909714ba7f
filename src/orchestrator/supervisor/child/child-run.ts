import type { ResolvedProcess } from '../../config/resolved.ts'
import type { ExitResult } from '../events.ts'
import { LineTap, RecentLines } from '../output/lines.ts'
import type { Output } from '../output/output.ts'
import { NOT_PROBED, type ProbeRecord, type ProbeState } from '../probes/poll.ts'
import { type PortWatch, watchPort } from '../probes/port-claim.ts'
import { type ReadinessListener, startLivenessProbe, startProbe } from '../probes/probe.ts'
import type { Group } from './process-group.ts'
import type { Child, SpawnChild, SpawnResult } from './child.ts'
import { elapsed, Timer } from '../timers.ts'

/** The abort reason of all runs: creating an Error for each exit would dominate a mass shutdown. */
const OVER = 'over'

interface RunListener extends ReadinessListener {
  /** Called when the liveness probe has failed. */
  readonly onDead: (reason: string) => void
}

/** One child with its process group, its output and its probes, which end when it exits. */
export class ChildRun {
  readonly child: Child
  readonly group: Group
  readonly lines = new LineTap()
  readonly exited: Promise<ExitResult>
  /** The time of the start on the clock of `performance.now()`. */
  readonly startedAt = performance.now()
  /** Resolves when the output of the child has been read; call it after its exit. */
  readonly outputRead: () => Promise<void>
  readonly #definition: ResolvedProcess
  readonly #runTag: string
  readonly #listener: RunListener
  readonly #over = new AbortController()
  readonly #probe: ProbeRecord = { state: NOT_PROBED }
  readonly #port: PortWatch | null

  constructor(
    definition: ResolvedProcess,
    child: Child,
    { output, runTag }: { readonly output: Output; readonly runTag: string },
    listener: RunListener,
  ) {
    this.#definition = definition
    this.#runTag = runTag
    const { readinessProbe } = definition
    const tree = { group: child.group.id, runTag }
    this.#port = readinessProbe === null ? null : watchPort(readinessProbe.check, tree)
    this.#listener = listener
    this.child = child
    this.group = child.group
    this.outputRead = output.attach(definition, child, this.lines)
    this.exited = child.exited.then((exit) => {
      this.endWatch()
      return exit
    })
  }

  /** The results of the readiness probe. */
  get probe(): ProbeState {
    return this.#probe.state
  }

  /** Starts the readiness probe, and with its first success the liveness probe. */
  watch(): void {
    const { readinessProbe, livenessProbe, cwd, env, secretNames } = this.#definition
    const { signal } = this.#over
    const context = { cwd, env, secretNames, runTag: this.#runTag }
    let isWatched = false
    const watchLiveness = () => {
      if (livenessProbe === null || isWatched || signal.aborted) return
      isWatched = true
      startLivenessProbe(livenessProbe, context, this.#listener.onDead, signal)
    }
    if (readinessProbe === null) return watchLiveness()
    const onReady = () => {
      this.#listener.onReady()
      watchLiveness()
    }
    const probed = { ...context, lines: this.lines, notifications: this.child.notifications, port: this.#port }
    startProbe(readinessProbe, probed, this.#probe, { ...this.#listener, onReady }, signal)
  }

  /** Ends the probes. */
  endWatch(): void {
    this.#over.abort(OVER)
  }
}

type RunResult =
  | { readonly type: 'started'; readonly run: ChildRun }
  | Extract<SpawnResult, { readonly type: 'failed' }>

/** Starts child number `number` of a process, whose output is read; call `watch` to start its probes. */
export function startRun(
  definition: ResolvedProcess,
  context: { readonly output: Output; readonly spawn: SpawnChild; readonly runTag: string },
  number: number,
  listener: RunListener,
): RunResult {
  const { output, spawn } = context
  const runTag = `${context.runTag}/${number}`
  const result = spawn(definition, runTag, output.displayOf(definition))
  if (result.type === 'failed') return result
  return { type: 'started', run: new ChildRun(definition, result.child, { output, runTag }, listener) }
}

/** The startup of a process, until it is ready for the first time: the time-out over all starts, and the last lines of output. */
export class Startup {
  readonly #definition: ResolvedProcess
  readonly #onTimeout: () => void
  readonly #timer = new Timer()
  readonly #recent = new RecentLines()
  #firstStartAt = 0
  #isOver = false

  constructor(definition: ResolvedProcess, onTimeout: () => void) {
    this.#definition = definition
    this.#onTimeout = onTimeout
  }

  /** Empty once the process has been ready. */
  get lastLines(): readonly string[] {
    return this.#isOver ? [] : this.#recent.lines
  }

  begin(): void {
    this.#firstStartAt = performance.now()
    const { readinessProbe, startupTimeoutMs } = this.#definition
    if (readinessProbe === null || this.#isOver) return
    this.#timer.set(startupTimeoutMs, this.#onTimeout)
  }

  /** Records the lines of a further child. */
  follow(lines: LineTap): void {
    if (this.#timer.isSet) this.#recent.follow(lines)
  }

  /**
   * Ends the startup. The time is that since the first start or, after an earlier success, since the process became unhealthy, if
   * it was, or its child started.
   */
  succeed(childStartedAt: number | null, unhealthySince: number | null): { afterMs: number; wasUnhealthy: boolean } {
    const since = unhealthySince ?? (this.#isOver ? (childStartedAt ?? this.#firstStartAt) : this.#firstStartAt)
    this.#isOver = true
    this.clear()
    this.#recent.end()
    return { afterMs: elapsed(since), wasUnhealthy: unhealthySince !== null }
  }

  /** Ends the time-out. */
  clear(): void {
    this.#timer.clear()
  }
}

import { RequestError } from '../config/errors.ts'
import { ownCommand } from '../config/own-command.ts'
import { describeLeft, type Orphans } from '../supervisor/child/orphans.ts'
import { explain } from '../supervisor/waiting/explain.ts'
import { dateAndTime } from '../supervisor/system/local-time.ts'
import type { ManagedProcess } from '../supervisor/managed-process.ts'
import type { ProcessTerminal } from '../supervisor/terminal/process-terminal.ts'
import type { LogFileProblems } from '../supervisor/output/log-file.ts'
import type { LogHistory } from '../supervisor/output/log-history.ts'
import { Timer } from '../supervisor/timers.ts'
import { isDownFor, isFinal } from '../supervisor/rules/state.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'
import type { Waiters } from '../supervisor/waiters.ts'
import { type ConfigChangeOptions, ConfigChanges } from './config-changes.ts'
import { withDependencies } from './dependencies.ts'
import { resolveNames, selectNames } from './names.ts'
import { awaitedOf, statusOf } from './status/process-status.ts'
import { LeftProcesses } from './status/left-processes.ts'
import type { ActionAnswer, ProcessStatus, StatusAnswer, WaitAnswer } from './protocol.ts'
import { type Readiness, readinessOf } from './status/readiness.ts'
import { UsageSampler } from './status/usage-sampler.ts'
import { type AwaitedProcess, waitAnswer, type WaitRequest } from './wait.ts'

export interface ControlTargetOptions extends ConfigChangeOptions {
  /** Returns the next time at which a task runs by its schedule; null if there is none. */
  readonly nextRun?: (name: string) => Date | null
}

/** Executes the requests of the control API. The names of processes that it takes are those of `names`, except in `act`. */
export class ControlTarget {
  readonly #supervisor: Supervisor
  readonly #options: ControlTargetOptions
  readonly #usage = new UsageSampler()
  readonly #left: LeftProcesses
  /** The requests that change the configuration. */
  readonly configuration: ConfigChanges

  constructor(supervisor: Supervisor, options: ControlTargetOptions) {
    this.#supervisor = supervisor
    this.#options = options
    this.#left = new LeftProcesses(supervisor.runTag)
    this.configuration = new ConfigChanges(supervisor, options)
  }

  get logs(): LogHistory {
    return this.#supervisor.logs
  }

  get configPath(): string {
    return this.#supervisor.graph.config.path
  }

  get names(): readonly string[] {
    return this.#supervisor.graph.all.map(({ name }) => name)
  }

  /** Returns whether the lines of a process are hidden by `log.quiet`. */
  isQuiet(name: string): boolean {
    return this.#supervisor.graph.get(name)?.definition.log.quiet === true
  }

  /** Returns the processes that these names and patterns select. Throws a RequestError if one selects nothing. */
  resolveNames(names: readonly string[]): readonly string[] {
    return resolveNames(names, this.names)
  }

  /** Returns the processes that these names and patterns select; a name that selects nothing is ignored. */
  selectNames(names: readonly string[]): readonly string[] {
    return [...new Set(names.flatMap((name) => selectNames(name, this.names)))]
  }

  /** The changes of the processes. */
  get changes(): Waiters {
    return this.#supervisor.changes
  }

  /** Returns the terminal of a process with `tty`. Throws a RequestError if there is no such process, or it has none. */
  terminalOf(requested: string): { readonly name: string; readonly terminal: ProcessTerminal } {
    const names = this.resolveNames([requested])
    const withTerminal = names.filter((name) => this.#supervisor.graph.get(name)?.definition.tty === true)
    const [name] = withTerminal
    if (name === undefined) {
      const which =
        names.length > 1 ? `none of ${names.join(', ')} has a terminal` : `${names.join('')} has no terminal`
      throw new RequestError(409, `${which}: set "tty": true, or read the output with logs -f ${requested}`)
    }
    if (withTerminal.length > 1) {
      throw new RequestError(400, `attach: expected one process; choose one of ${withTerminal.join(', ')}`)
    }
    return { name, terminal: this.#supervisor.terminals.of(name) }
  }

  /** Returns the status of the processes with these names. */
  status(names: readonly string[] = this.names): StatusAnswer {
    const { graph, isStopping, snapshot } = this.#supervisor
    const running = graph.all.flatMap(({ name, pid, startedAt }) =>
      pid === null || startedAt === null ? [] : [{ name, group: pid, startedAt }],
    )
    const usage = this.#usage.sample(running)
    const named = graph.named(names)
    const left = this.#left.of(named)
    return {
      pid: process.pid,
      config: graph.config.path,
      stopping: isStopping,
      processes: named.map((managed) => ({
        ...statusOf(managed, usage.get(managed.name)),
        ...this.#detail(managed.name, snapshot, left.get(managed.name)),
        left_pids: [...(left.get(managed.name)?.pids ?? [])],
        depends_on: graph.dependenciesOf(managed).map(({ name }) => name),
      })),
    }
  }

  readiness(): Readiness {
    const { snapshot } = this.#supervisor
    return readinessOf(this.#supervisor, (name) => this.#detail(name, snapshot).detail)
  }

  /**
   * Resolves when each process is up, has ended or has failed, or when the processes have stopped. `requested` are names and
   * patterns; a pattern selects no disabled process, and restarts no process that was stopped manually. A start with dependencies
   * also starts what the processes need. The answer names the processes that have failed, and what a stop has ended of completed
   * ones. Throws a RequestError for a left-out process that is to stop or restart, or that cannot be started; then nothing has
   * changed.
   */
  async act(
    action: 'start' | 'stop' | 'restart',
    requested: readonly string[],
    hasDependencies = false,
  ): Promise<ActionAnswer> {
    const names = resolveNames(requested, this.names, (name) => this.#isSelectable(action, name))
    const { graph, isStopping } = this.#supervisor
    if (isStopping) throw new RequestError(409, 'the orchestrator is stopping')
    const named = graph.named(names)
    const chosen = action === 'start' && hasDependencies ? withDependencies(graph, named) : named
    if (action === 'start') rejectUnstartable(chosen)
    const accepted = action === 'start' ? chosen : runningAmong(chosen)
    const left = action === 'stop' ? this.#left.of(accepted, { isFresh: true }) : new Map<string, Orphans>()
    const failed = await this.#supervisor.commands[action](accepted.map(({ name }) => name))
    const ended = Array.from(left, ([process, orphans]) => ({ process, ...orphans }))
    return { ...this.status(), failed: failed ?? [], ended }
  }

  /**
   * Resolves when the outcome is no longer `pending`, or `signal` is aborted. Without names it waits for all processes that are
   * not disabled; if the goal is `completed`, for all such tasks without a schedule. Throws a RequestError if a name selects nothing.
   */
  async wait(requested: readonly string[], request: WaitRequest, signal: AbortSignal): Promise<WaitAnswer> {
    this.resolveNames(requested)
    const { changes, graph } = this.#supervisor
    const runsBefore = new Map(graph.all.map((managed) => [managed, managed.runs.count]))
    const timer = new Timer()
    const evaluate = () => {
      const { awaited, missing } = this.#awaited(requested, request, runsBefore)
      const answer = waitAnswer(awaited, request, missing)
      const settling = awaited.map(({ settlesInMs }) => settlesInMs).filter((ms) => ms > 0)
      if (answer.outcome === 'pending' && settling.length > 0) {
        timer.set(Math.ceil(Math.min(...settling)), () => changes.check())
      }
      return answer
    }
    let answer = evaluate()
    await changes.until(() => {
      answer = evaluate()
      return answer.outcome !== 'pending'
    }, signal)
    timer.clear()
    return answer
  }

  /** Returns the processes that a request waits for, and the names that select none. */
  #awaited(
    requested: readonly string[],
    { goal }: WaitRequest,
    runsBefore: ReadonlyMap<ManagedProcess, number>,
  ): { readonly awaited: readonly AwaitedProcess[]; readonly missing: readonly string[] } {
    const { graph, snapshot } = this.#supervisor
    const { names } = this
    const selections = requested.map((name) => ({ name, selected: selectNames(name, names) }))
    const missing = selections.flatMap(({ name, selected }) => (selected.length === 0 ? [name] : []))
    const named = new Set(selections.flatMap(({ selected }) => selected))
    const isAwaited = ({ name, state, definition }: ManagedProcess) => {
      if (requested.length > 0) return named.has(name)
      const isStep = definition.kind === 'task' && definition.schedule === null
      return state.type !== 'disabled' && (goal === 'ready' || isStep)
    }
    const awaited = graph.all
      .filter(isAwaited)
      .map((managed) => awaitedOf(managed, this.#detail(managed.name, snapshot).detail, runsBefore.get(managed) ?? 0))
    return { awaited, missing }
  }

  /** Stops everything in order; then the orchestrator ends. */
  down(): void {
    this.#supervisor.stop({ type: 'asked' })
  }

  /** Returns the explanation of the state, with what it has left running, its next run and the problem of its log file. */
  #detail(
    name: string,
    snapshot: Supervisor['snapshot'],
    left?: Orphans,
  ): Pick<ProcessStatus, 'detail' | 'next_run' | 'log_file'> {
    const next = this.#options.nextRun?.(name) ?? null
    const file = this.#supervisor.logFileOf(name)
    const texts = [
      explain(snapshot, name),
      left === undefined ? null : `left ${describeLeft(left)}`,
      next === null ? null : `next run at ${dateAndTime(next)}`,
      file === null ? null : describeLogProblem(file),
    ]
    return {
      detail: texts.filter((text) => text !== null).join('; ') || null,
      next_run: next?.toISOString() ?? null,
      log_file: file === null ? null : { error: file.reason, errors: file.errors, lost_lines: file.lostLines },
    }
  }

  /** Returns whether a pattern selects the process for the action. */
  #isSelectable(action: 'start' | 'stop' | 'restart', name: string): boolean {
    const managed = this.#supervisor.graph.get(name)
    if (managed === null || managed.state.type === 'disabled') return false
    // A pattern does not run a task between the times of its schedule.
    if (managed.definition.schedule !== null && isFinal(managed.state) && action !== 'stop') return false
    const isStopped = managed.state.type === 'stopped' || isDownFor(managed, 'by_hand')
    return action !== 'restart' || !isStopped
  }
}

function describeLogProblem({ reason, lostLines }: LogFileProblems): string | null {
  if (reason === null) return null
  return `cannot write to its log file: ${reason}, ${lostLines === 1 ? '1 line' : `${lostLines} lines`} lost`
}

/** Throws a RequestError if one of these processes was left out and has a problem. */
function rejectUnstartable(processes: readonly ManagedProcess[]): void {
  for (const { name, state, definition } of processes) {
    if (state.type !== 'disabled' || definition.problem === null) continue
    throw new RequestError(409, `"${name}" cannot be started: ${definition.problem}`)
  }
}

/** Returns the processes that are not disabled. Throws a RequestError if a process of the file has only disabled instances here. */
function runningAmong(processes: readonly ManagedProcess[]): readonly ManagedProcess[] {
  const running = processes.filter(({ state }) => state.type !== 'disabled')
  for (const { name, state, definition } of processes) {
    const hasOther = running.some((other) => other.definition.configName === definition.configName)
    if (state.type !== 'disabled' || hasOther) continue
    const message = `"${name}" is not running: it ${state.because}; start it with: ${ownCommand(`start ${name}`)}`
    throw new RequestError(409, message)
  }
  return running
}

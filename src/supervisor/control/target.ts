import type { ResolvedConfig } from '../config/resolved.ts'
import { type Dependency, isUp } from '../dependencies.ts'
import type { LogHistory } from '../output/log-history.ts'
import type { ManagedProcess } from '../managed-process.ts'
import type { Supervisor } from '../supervisor.ts'
import type { Controllable } from './controllable.ts'
import { FigureReader, type Figures } from './figures.ts'
import { RequestError } from './request-error.ts'
import type { ProcessStatus, ReloadAnswer, StatusAnswer } from './status.ts'

/** A supervisor as the control API knows it. */
export class ControlTarget implements Controllable {
  readonly #supervisor: Supervisor
  readonly #load: () => ResolvedConfig
  readonly #figures = new FigureReader()

  /** `load` reads the configuration again; it throws an error for people if it is bad. */
  constructor(supervisor: Supervisor, load: () => ResolvedConfig) {
    this.#supervisor = supervisor
    this.#load = load
  }

  get logs(): LogHistory {
    return this.#supervisor.logs
  }

  get names(): readonly string[] {
    return this.#supervisor.processes.map(({ name }) => name)
  }

  instancesNamed(name: string): readonly string[] {
    return this.#supervisor.graph.instancesNamed(name)
  }

  status(): StatusAnswer {
    const { processes, graph } = this.#supervisor
    const running = processes.flatMap(({ name, pid, startedAt }) =>
      pid === null || startedAt === null ? [] : [{ name, group: pid, startedAt }],
    )
    const figures = this.#figures.read(running)
    return {
      pid: process.pid,
      config: this.#supervisor.configPath,
      stopping: this.#supervisor.isStopping,
      processes: processes.map((one) => describe(one, graph.dependenciesOf(one), figures.get(one.name))),
    }
  }

  async start(names: readonly string[]): Promise<void> {
    this.#refuseWhileStopping()
    await this.#supervisor.manual.release(names)
  }

  async stop(names: readonly string[]): Promise<void> {
    this.#refuseWhileStopping()
    await this.#supervisor.manual.hold(names)
  }

  async restart(names: readonly string[]): Promise<void> {
    this.#refuseWhileStopping()
    const waiting = new Set(
      this.#supervisor.processes.filter(({ state }) => state.type === 'waiting').map(({ name }) => name),
    )
    const others = names.filter((name) => !waiting.has(name))
    await this.#supervisor.manual.hold(others)
    await this.#supervisor.manual.release(others)
  }

  async reload(): Promise<ReloadAnswer> {
    this.#refuseWhileStopping()
    let config: ResolvedConfig
    try {
      config = this.#load()
    } catch (error) {
      throw new RequestError(422, error instanceof Error ? error.message : String(error))
    }
    return this.#supervisor.reload(config)
  }

  down(): void {
    this.#supervisor.stop({ type: 'asked' })
  }

  #refuseWhileStopping(): void {
    if (this.#supervisor.isStopping) throw new RequestError(409, 'the orchestrator is stopping everything')
  }
}

function describe(
  one: ManagedProcess,
  dependencies: readonly Dependency[],
  figures: Figures | undefined,
): ProcessStatus {
  const { name, state, definition, pid, startedAt, lastExit } = one
  return {
    name,
    state: state.type,
    reason: reasonOf(state),
    pid,
    ready: isUp(definition, state),
    restarts: one.restarts,
    exit_code: lastExit?.code ?? null,
    signal: lastExit?.signal ?? null,
    uptime_ms: pid === null || startedAt === null ? null : Math.round(performance.now() - startedAt),
    cpu_percent: figures?.cpuPercent ?? null,
    memory_bytes: figures?.memoryBytes ?? null,
    depends_on: dependencies.map((dependency) => dependency.name),
  }
}

function reasonOf(state: ManagedProcess['state']): string | null {
  if (state.type === 'skipped') return state.because
  return state.type === 'failed' || state.type === 'unhealthy' ? state.reason : null
}

import { isDeepStrictEqual } from 'node:util'
import type { ResolvedConfig, ResolvedControl } from '../config/resolved.ts'
import { type Dependency, isUp } from '../supervisor/graph.ts'
import type { ManagedProcess } from '../supervisor/managed-process.ts'
import type { LogHistory } from '../supervisor/output/log-history.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'
import { type ReloadAnswer, type StatusAnswer, type ProcessStatus } from './protocol.ts'
import { FigureReader, type Figures } from './usage-sampler.ts'
import { messageOf, RequestError } from '../config/errors.ts'

/** What can be asked of a running orchestrator; names are checked by who calls. */
export interface Controllable {
  readonly logs: LogHistory
  /** Of the file that is run; absolute. */
  readonly configPath: string
  /** Of all processes, instances included, in the order of the file. */
  readonly names: readonly string[]
  /** What a name of the file, or of an instance, means; nothing if there is none. */
  instancesNamed(name: string): readonly string[]
  status(): StatusAnswer
  /** Resolves when each of them is up, has ended, or has failed. */
  start(names: readonly string[]): Promise<void>
  /** They stay down, whatever their restart policy says, until they are started again. Resolves when they are down. */
  stop(names: readonly string[]): Promise<void>
  /** Down and up again, as soon as their dependencies allow it; resolves as `start` does. One that waits goes on waiting. */
  restart(names: readonly string[]): Promise<void>
  /** Reads the configuration again and applies the difference; throws an error for people if it is bad, and changes nothing. */
  reload(): Promise<ReloadAnswer>
  /** Stops everything, in order; the connection ends with the orchestrator. */
  down(): void
}

export interface ControlTargetOptions {
  /** Reads the configuration again; throws an error for people if it is bad. */
  readonly load: () => ResolvedConfig
  /** Where this API is, until the orchestrator ends. */
  readonly control: ResolvedControl | null
  /** A reload begins: a signal or a request asked for it. */
  readonly onReload?: () => void
  /** It is over; `problem` says why nothing has changed, if that is so. */
  readonly onReloaded?: (answer: ReloadAnswer | null, problem: string | null) => void
}

/** A supervisor as the control API knows it. */
export class ControlTarget implements Controllable {
  readonly #supervisor: Supervisor
  readonly #options: ControlTargetOptions
  readonly #figures = new FigureReader()
  #isReloading = false

  constructor(supervisor: Supervisor, options: ControlTargetOptions) {
    this.#supervisor = supervisor
    this.#options = options
  }

  get logs(): LogHistory {
    return this.#supervisor.logs
  }

  get names(): readonly string[] {
    return this.#supervisor.processes.map(({ name }) => name)
  }

  get configPath(): string {
    return this.#supervisor.configPath
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
    this.#options.onReload?.()
    try {
      const answer = await this.#reload()
      this.#options.onReloaded?.(answer, null)
      return answer
    } catch (error) {
      this.#options.onReloaded?.(null, messageOf(error))
      throw error
    }
  }

  async #reload(): Promise<ReloadAnswer> {
    this.#refuseWhileStopping()
    const config = this.#load()
    if (this.#isReloading) throw new RequestError(409, 'another reload is under way')
    this.#isReloading = true
    const difference = await this.#supervisor.reload(config).finally(() => (this.#isReloading = false))
    const isSame = isDeepStrictEqual(config.control, this.#options.control)
    return { ...difference, needs_restart: isSame ? [] : ['control'] }
  }

  #load(): ResolvedConfig {
    try {
      return this.#options.load()
    } catch (error) {
      throw new RequestError(422, messageOf(error))
    }
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

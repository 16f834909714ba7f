import { isDeepStrictEqual } from 'node:util'
import { ConfigError, messageOf, RequestError } from '../config/errors.ts'
import type { ResolvedConfig, ResolvedControl } from '../config/resolved.ts'
import type { ConfigChange } from '../supervisor/events.ts'
import type { StartOutcome } from '../supervisor/rules/start-outcome.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'
import type { ReloadAnswer } from './protocol.ts'
import { checkScalable } from './scale.ts'

export interface ConfigChangeOptions {
  /** Reads the configuration again; throws a UserError if it is invalid. */
  readonly load: () => ResolvedConfig
  /** Resolves the configuration as it was last read, with other numbers of replicas; throws a UserError. */
  readonly scale: (replicas: ReadonlyMap<string, number>) => ResolvedConfig
  /** The addresses of the control API until the orchestrator ends. */
  readonly control: ResolvedControl | null
  /** Called when a signal or a request starts a reload. */
  readonly onReload: () => void
  /** Called when the new configuration is in force, before the processes that it starts are up. */
  readonly onApplied: () => void
  /** Called when the processes that a change of the configuration has started are up, have ended or have failed. */
  readonly onReloaded: (answer: ReloadAnswer, cause: ConfigChange) => void
  /** Called when a reload has changed nothing; `problem` is the reason. */
  readonly onRejected: (problem: string) => void
}

/** A change that is in force. */
interface Applied {
  readonly difference: Pick<ReloadAnswer, 'added' | 'removed' | 'changed' | 'unchanged' | 'needs_restart'>
  /** Resolves when the processes that it starts are up, have ended or have failed. */
  readonly settled: () => Promise<StartOutcome>
}

/** Changes the configuration of a running supervisor, one change after the other. */
export class ConfigChanges {
  readonly #supervisor: Supervisor
  readonly #options: ConfigChangeOptions
  /** Resolves when the requested changes are in force. */
  #applying: Promise<unknown> = Promise.resolve()
  /** The reload that has been requested and has not read the file yet. */
  #next: Promise<Applied> | null = null

  constructor(supervisor: Supervisor, options: ConfigChangeOptions) {
    this.#supervisor = supervisor
    this.#options = options
  }

  /**
   * Reads the configuration again and applies the difference. Resolves when each process that it starts is up, has ended or has
   * failed, which does not delay the next change. Requests that arrive before the file is read share one reload. Rejects and changes
   * nothing if the file is invalid.
   */
  async reload(): Promise<ReloadAnswer> {
    this.#options.onReload()
    try {
      this.#next ??= this.#inOrder('reload', () => {
        this.#next = null
        return this.#load()
      })
      return await this.#complete('reload', await this.#next)
    } catch (error) {
      this.#options.onRejected(messageOf(error))
      throw error
    }
  }

  /**
   * Changes the number of instances of processes until the next reload; nothing else of the configuration changes. Resolves when
   * each new instance is up, has ended or has failed. Throws a RequestError, after which nothing has changed.
   */
  async scale(replicas: ReadonlyMap<string, number>): Promise<ReloadAnswer> {
    const applied = await this.#inOrder('scale', () => {
      const config = this.#scaled(replicas)
      this.#options.onReload()
      return config
    })
    return this.#complete('scale', applied)
  }

  async #complete(cause: ConfigChange, { difference, settled }: Applied): Promise<ReloadAnswer> {
    this.#options.onApplied()
    const answer = { ...difference, ...(await settled()) }
    this.#options.onReloaded(answer, cause)
    return answer
  }

  /** Applies a configuration, which `make` returns when the earlier changes are in force. */
  #inOrder(cause: ConfigChange, make: () => ResolvedConfig): Promise<Applied> {
    const applied = this.#applying.then(() => {
      this.#rejectWhileStopping()
      return this.#apply(make(), cause)
    })
    this.#applying = applied.catch(() => undefined)
    return applied
  }

  async #apply(config: ResolvedConfig, cause: ConfigChange): Promise<Applied> {
    const { difference, settled } = await this.#supervisor.reload(config, cause)
    this.#rejectWhileStopping()
    const isSame = isDeepStrictEqual(config.control, this.#options.control)
    return { difference: { ...difference, needs_restart: isSame ? [] : ['control'] }, settled }
  }

  #load(): ResolvedConfig {
    try {
      return this.#options.load()
    } catch (error) {
      throw new RequestError(422, error instanceof ConfigError ? error.describeReload() : messageOf(error))
    }
  }

  #scaled(replicas: ReadonlyMap<string, number>): ResolvedConfig {
    const { graph } = this.#supervisor
    checkScalable(
      replicas,
      graph.all.map(({ definition }) => definition),
    )
    try {
      return this.#options.scale(replicas)
    } catch (error) {
      const problem = error instanceof ConfigError ? error.describeProblems() : messageOf(error)
      throw new RequestError(422, `${problem}; nothing was changed`)
    }
  }

  #rejectWhileStopping(): void {
    if (this.#supervisor.isStopping) throw new RequestError(409, 'the orchestrator is stopping')
  }
}

import { isDeepStrictEqual } from 'node:util'
import type { ResolvedConfig, ResolvedProcess } from '../config/resolved.ts'
import type { SpawnChild } from './child/child.ts'
import type { Orphans } from './child/orphans.ts'
import { ExternalCheck } from './external.ts'
import { type HandControlled, restoreHandControl } from './goals.ts'
import { ManagedProcess } from './managed-process.ts'
import type { Output } from './output/output.ts'
import type { ManagedProcessEvent } from './process-context.ts'
import { ProcessGraph } from './rules/graph.ts'
import type { StartRequest } from './rules/snapshot.ts'

export interface ConfiguredContext {
  readonly output: Output
  /** Prefix of the run tags of all children; a slash and the name of the process follow. */
  readonly runTag: string
  readonly spawn: SpawnChild
  /** As `ReapEscaped`, for the process with this name. */
  readonly reapEscaped: (name: string, children: number, report?: (orphans: Orphans) => void) => Promise<void>
  readonly emit: (event: ManagedProcessEvent) => void
}

/** The processes and the external address of the configuration in force. */
export class ConfiguredProcesses {
  readonly #context: ConfiguredContext
  #graph: ProcessGraph<ManagedProcess>
  #external: ExternalCheck

  constructor(config: ResolvedConfig, context: ConfiguredContext) {
    this.#context = context
    this.#external = this.#createExternalCheck(config)
    this.#graph = new ProcessGraph(config, (definition) => this.#createProcess(definition))
  }

  get graph(): ProcessGraph<ManagedProcess> {
    return this.#graph
  }

  get external(): ExternalCheck {
    return this.#external
  }

  /**
   * Puts another configuration in force; the processes named in `unchanged` stay. All others are down, and their new versions belong to
   * `request`; one that was stopped or started manually is down or starts, too.
   */
  replace(
    config: ResolvedConfig,
    unchanged: ReadonlySet<string>,
    byHand: HandControlled,
    request: StartRequest | null,
  ): void {
    const before = this.#graph
    this.#context.output.setProcesses(config.processes)
    if (!isDeepStrictEqual(before.config.external, config.external)) {
      this.#external.end()
      this.#external = this.#createExternalCheck(config)
    }
    this.#graph = new ProcessGraph(config, (definition) => {
      const old = before.get(definition.name)
      if (old !== null && unchanged.has(old.name)) {
        old.definition = { ...old.definition, secretNames: definition.secretNames }
        return old
      }
      const managed = this.#createProcess(definition, old?.hasRun)
      managed.request = request
      return managed
    })
    restoreHandControl(this.#graph, byHand)
  }

  #createProcess(definition: ResolvedProcess, hasRunBefore = false): ManagedProcess {
    const { name } = definition
    const { output, runTag, spawn, reapEscaped, emit } = this.#context
    return new ManagedProcess(definition, {
      output,
      runTag: `${runTag}/${name}`,
      spawn,
      reapEscaped: (children, report) => reapEscaped(name, children, report),
      hasRunBefore,
      emit,
    })
  }

  #createExternalCheck(config: ResolvedConfig): ExternalCheck {
    const check = new ExternalCheck(config.external, () => this.#context.emit(check.failure ?? { type: 'changed' }))
    return check
  }
}

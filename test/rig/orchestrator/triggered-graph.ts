import { onTestFinished } from 'vitest'
import type { SupervisorEvent } from '../../../src/orchestrator/supervisor/events.ts'
import type { ResolvedWatch } from '../../../src/orchestrator/config/resolved.ts'
import { Triggers } from '../../../src/orchestrator/triggers/triggers.ts'
import { type GraphOptions, type ProcessSketch, SupervisedGraph } from './supervised-graph.ts'

/** A running supervisor with the triggers of its configuration. */
export class TriggeredGraph extends SupervisedGraph {
  readonly triggers: Triggers

  constructor(processes: readonly ProcessSketch[], options: GraphOptions = {}) {
    super(processes, options)
    this.triggers = new Triggers(this.supervisor, { emit: (event) => this.receive(event), runTag: null })
    this.triggers.start()
  }

  protected override receive(event: SupervisorEvent): void {
    super.receive(event)
    this.triggers?.event(event)
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.triggers.end(Promise.resolve())
    await super[Symbol.asyncDispose]()
  }
}

/** Starts a supervisor and the triggers of these processes; they run until the test ends. */
export function trigger(processes: readonly ProcessSketch[], options?: GraphOptions): TriggeredGraph {
  const graph = new TriggeredGraph(processes, options)
  onTestFinished(() => graph[Symbol.asyncDispose]())
  return graph
}

/** Returns a watch of paths relative to a folder. */
export function watchOf(folder: string, paths: readonly string[], over: Partial<ResolvedWatch> = {}): ResolvedWatch {
  return { folder, paths, ignore: [], debounceMs: 20, ...over }
}

import type { SupervisorEvent } from '../supervisor/events.ts'

/** How many names a line has room for. */
const shownNames = 3

/** How far the graph is, in a few words; told by events alone. */
export class GraphStatus {
  readonly #names: readonly string[]
  /** Those that are ready only when they say so. */
  readonly #probed: ReadonlySet<string>
  readonly #ready = new Set<string>()
  #wasReady = false
  #stopping = false

  constructor(processes: readonly { readonly name: string; readonly readinessProbe: unknown }[]) {
    this.#names = processes.map(({ name }) => name)
    this.#probed = new Set(processes.flatMap(({ name, readinessProbe }) => (readinessProbe === null ? [] : [name])))
  }

  apply(event: SupervisorEvent): void {
    if (event.type === 'stopping') this.#stopping = true
    if (event.type === 'all_ready') this.#wasReady = true
    if (!('process' in event)) return
    const { type, process } = event
    if (type === 'process_ready' || type === 'process_completed') this.#ready.add(process)
    if (type === 'process_started' && !this.#probed.has(process)) this.#ready.add(process)
    if (type === 'process_unhealthy' || type === 'process_exited' || type === 'process_stopped') {
      this.#ready.delete(process)
    }
  }

  /** `3 of 10 ready`, `ready`, `9 of 10 ready; not ready: store`, `stopping`. */
  get text(): string {
    if (this.#stopping) return 'stopping'
    const missing = this.#names.filter((name) => !this.#ready.has(name))
    if (missing.length === 0) return 'ready'
    const count = `${this.#names.length - missing.length} of ${this.#names.length} ready`
    if (!this.#wasReady) return count
    const more = missing.length > shownNames ? ', …' : ''
    return `${count}; not ready: ${missing.slice(0, shownNames).join(', ')}${more}`
  }
}

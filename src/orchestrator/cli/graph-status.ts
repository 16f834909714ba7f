import type { SupervisorEvent } from '../supervisor/events.ts'

/** How many names a line has room for. */
const shownNames = 3

type Processes = readonly { readonly name: string; readonly readinessProbe: unknown }[]

/** How far the graph is, in a few words; told by events alone. */
export class GraphStatus {
  readonly #processes: () => Processes
  readonly #ready = new Set<string>()
  #wasReady = false
  #stopping = false

  /** `processes`: those that the graph has now. */
  constructor(processes: () => Processes) {
    this.#processes = processes
  }

  apply(event: SupervisorEvent): void {
    if (event.type === 'stopping') this.#stopping = true
    if (event.type === 'all_ready') this.#wasReady = true
    if (!('process' in event)) return
    const { type, process } = event
    if (type === 'process_ready' || type === 'process_completed') this.#ready.add(process)
    if (type === 'process_started' && !this.#isProbed(process)) this.#ready.add(process)
    if (type === 'process_unhealthy' || type === 'process_exited' || type === 'process_stopped') {
      this.#ready.delete(process)
    }
  }

  /** `3 of 10 ready`, `ready`, `9 of 10 ready; not ready: store`, `stopping`. */
  get text(): string {
    if (this.#stopping) return 'stopping'
    const names = this.#processes().map(({ name }) => name)
    const missing = names.filter((name) => !this.#ready.has(name))
    if (missing.length === 0) return 'ready'
    const count = `${names.length - missing.length} of ${names.length} ready`
    if (!this.#wasReady) return count
    const more = missing.length > shownNames ? ', …' : ''
    return `${count}; not ready: ${missing.slice(0, shownNames).join(', ')}${more}`
  }

  /** Is ready only when it says so. */
  #isProbed(process: string): boolean {
    return this.#processes().some(({ name, readinessProbe }) => name === process && readinessProbe !== null)
  }
}

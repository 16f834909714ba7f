import type { JsonPath } from './json-source.ts'
import type { Problems } from './problems.ts'
import { formatSocketAddress, type SocketAddress } from './socket-address.ts'
import { interpolate, type Variables } from './variables.ts'

export interface ScopeOptions {
  /** Null if neither the file nor the command line sets it. */
  readonly broker: SocketAddress | null
  readonly inherited: Variables
  /** The orchestrator's variables that no process receives. */
  readonly withheld: ReadonlySet<string>
  readonly problems: Problems
}

/** The variables of one process, in layers; each layer can reference the earlier layers. */
export class Scope {
  readonly #options: ScopeOptions
  readonly #variables: Map<string, string>
  readonly #added = new Map<string, string>()
  usesBroker = false
  namesAreKnown = true

  constructor(options: ScopeOptions) {
    this.#options = options
    this.#variables = new Map(Object.entries(options.inherited))
  }

  /** All variables except the inherited ones. */
  get added(): Variables {
    return Object.fromEntries(this.#added)
  }

  get all(): Variables {
    return Object.fromEntries(this.#variables)
  }

  add(variables: Variables): void {
    for (const [name, value] of Object.entries(variables)) {
      this.#variables.set(name, value)
      this.#added.set(name, value)
    }
  }

  /** Adds variables; each can reference earlier variables and, as in `PATH=/x:${PATH}`, its previous value. */
  addInterpolated(variables: Variables, path: JsonPath): void {
    for (const [name, value] of Object.entries(variables)) {
      this.add({ [name]: this.interpolate(value, [...path, name]) })
    }
  }

  interpolate(text: string, path: JsonPath): string {
    const { broker, problems, withheld } = this.#options
    const lookup = (name: string) => {
      if (name !== 'mqtt_broker') return this.#variables.get(name)
      this.usesBroker = true
      return broker === null ? undefined : formatSocketAddress(broker)
    }
    const result = interpolate(text, lookup, withheld)
    if (this.namesAreKnown) for (const problem of result.problems) problems.add(path, problem)
    return result.text
  }
}

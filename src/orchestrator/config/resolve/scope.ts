import type { JsonPath } from '../source/json-source.ts'
import type { Problems } from '../source/problems.ts'
import { formatSocketAddress, type SocketAddress } from '../socket-address.ts'
import { isSecretName } from '../secret-names.ts'
import { interpolate, type Replaced, type Variables } from '../variables.ts'

export interface ScopeOptions {
  /** Null if neither the file nor the command line sets it. */
  readonly broker: SocketAddress | null
  readonly inherited: Variables
  /** The orchestrator's variables that no process receives. */
  readonly withheld: ReadonlySet<string>
  /** The `secret_names` of the file. */
  readonly secretNames: readonly string[]
  readonly problems: Problems
}

/** The origin of a variable; `path` is the absolute path of an `env_file`. */
export type VariableSource =
  | { readonly type: 'inherited' | 'file_env' | 'process_env' | 'orchestrator' }
  | { readonly type: 'file_env_file' | 'process_env_file'; readonly path: string }

export interface Variable {
  readonly value: string
  readonly source: VariableSource
}

/** Returns whether a variable comes from an `env_file`. */
export function isFromFile({ type }: VariableSource): boolean {
  return type === 'file_env_file' || type === 'process_env_file'
}

/** The variables of a process, by name. */
export type Environment = ReadonlyMap<string, Variable>

/** The variables of one process, in layers; each layer can reference the earlier layers. */
export class Scope {
  readonly #options: ScopeOptions
  readonly #variables: Map<string, Variable>
  /** The variables of an `env_file` whose values were copied into other texts. */
  readonly copied = new Set<string>()
  usesBroker = false
  namesAreKnown = true

  constructor(options: ScopeOptions) {
    this.#options = options
    this.#variables = new Map()
    this.add(options.inherited, { type: 'inherited' })
  }

  get environment(): Environment {
    return this.#variables
  }

  add(variables: Variables, source: VariableSource): void {
    for (const [name, value] of Object.entries(variables)) this.#variables.set(name, { value, source })
  }

  /** Adds variables that were resolved before. */
  addAll(variables: Environment): void {
    for (const [name, variable] of variables) this.#variables.set(name, variable)
  }

  /** Adds variables; each can reference earlier variables and, as in `PATH=/x:${PATH}`, its previous value. */
  addInterpolated(variables: Variables, path: JsonPath, source: VariableSource): void {
    for (const [name, value] of Object.entries(variables)) {
      this.add({ [name]: this.interpolate(value, [...path, name]) }, source)
    }
  }

  /** Replaces the variables of the text at `path`, and adds problems; the result is empty if that is not possible. */
  interpolate(text: string, path: JsonPath): string {
    return this.replace(text, path)?.text ?? ''
  }

  /** As `interpolate`, with the names of the used variables; null if that is not possible. `escape` converts each value. */
  replace(text: string, path: JsonPath, escape: (value: string) => string = String): Replaced | null {
    const { broker, problems, withheld, secretNames } = this.#options
    const names = new Set<string>()
    const lookup = (name: string): string | undefined => {
      names.add(name)
      const variable = this.#variables.get(name)
      if (variable !== undefined && isFromFile(variable.source)) this.copied.add(name)
      if (name !== 'mqtt_broker') return variable?.value
      this.usesBroker = true
      return broker === null ? undefined : formatSocketAddress(broker)
    }
    const escaped = (name: string) => {
      const value = lookup(name)
      return value === undefined ? undefined : escape(value)
    }
    const result = interpolate(text, escaped, withheld)
    if (this.namesAreKnown) for (const problem of result.problems) problems.add(path, problem)
    const isSecret = [...names].some((name) => isSecretName(name, secretNames))
    return result.problems.length === 0 ? { text: result.text, names, empty: result.empty, isSecret } : null
  }
}

import { type EnvFile, readEnvFiles } from './env-file.ts'
import { childOf, type JsonNode, type JsonPath, toValue } from '../source/json-source.ts'
import type { ConfigFiles } from '../source/config-files.ts'
import { type Problems, secretNamesOf } from '../source/problems.ts'
import { envFileSchema } from '../schema/env-file.ts'
import { environmentSchema } from '../schema/fields.ts'
import { isSecretName } from '../secret-names.ts'
import { interpolate, type Interpolated, type Replaced } from '../variables.ts'

/** The variables that a file sets for the orchestrator and for every process. */
export interface SharedVariables {
  readonly files: readonly EnvFile[]
  /** The values of `env` before interpolation. */
  readonly env: Readonly<Record<string, string>>
  /** False if a part is invalid or unreadable: it could set a variable that seems unset. */
  readonly isComplete: boolean
}

interface OwnVariable {
  /** Null if it has an error, which is reported where the processes use it. */
  readonly value: string | null
  /** The variables from which the value was made, and its own name. */
  readonly names: ReadonlySet<string>
}

const brokerProblem = '${mqtt_broker} is not possible here, also not through a variable of "env"'

/**
 * The variables for the keys of the orchestrator itself (`mqtt_broker`, `control`): its environment, then `env_file` of the file,
 * then `env` of the file.
 */
export class OwnScope {
  readonly shared: SharedVariables
  readonly #problems: Problems
  readonly #secretNames: readonly string[]
  readonly #variables = new Map<string, OwnVariable>()
  #isComplete = true

  /** `root` are the merged files. Adds problems of `env_file`. */
  constructor(
    root: JsonNode,
    environment: NodeJS.ProcessEnv,
    { files: reader, problems }: { readonly files: ConfigFiles; readonly problems: Problems },
  ) {
    this.#problems = problems
    this.#secretNames = secretNamesOf(root)
    for (const [name, value] of Object.entries(environment)) if (value !== undefined) this.#set(name, value)
    const env = environmentSchema.safeParse(toValue(childOf(root, 'env')) ?? {}).data
    const setting = envFileSchema.safeParse(toValue(childOf(root, 'env_file'))).data
    const files: EnvFile[] = []
    const areRead = readEnvFiles(setting ?? [], ['env_file'], {
      root,
      problems,
      files: reader,
      interpolate: (text, at) => this.replace(text, at)?.text ?? null,
      add: (file) => {
        files.push(file)
        for (const [name, value] of Object.entries(file.variables)) this.#set(name, value)
      },
    })
    for (const [name, text] of Object.entries(env ?? {})) this.#setInterpolated(name, text)
    this.#isComplete = areRead && env !== undefined && setting !== undefined
    this.shared = { files, env: env ?? {}, isComplete: this.#isComplete }
  }

  /** Replaces the variables of the text at `path`, and adds problems. Null if that is not possible. */
  replace(text: string, path: JsonPath): Replaced | null {
    const { value, names, empty, problems } = this.#interpolate(text)
    for (const problem of problems) this.#problems.add(path, problem)
    const isSecret = [...names].some((name) => isSecretName(name, this.#secretNames))
    return value === null ? null : { text: value, names, empty, isSecret }
  }

  #setInterpolated(name: string, text: string): void {
    const { value, names } = this.#interpolate(text)
    this.#variables.set(name, { value, names: new Set([name, ...names]) })
  }

  #set(name: string, value: string): void {
    this.#variables.set(name, { value, names: new Set([name]) })
  }

  #interpolate(text: string): OwnVariable & Pick<Interpolated, 'problems' | 'empty'> {
    const names = new Set<string>()
    let hasFailed = false
    const result = interpolate(text, (name) => {
      const variable = this.#variables.get(name)
      for (const used of variable?.names ?? [name]) names.add(used)
      hasFailed ||= variable?.value === null
      return variable === undefined ? undefined : (variable.value ?? '')
    })
    const usesBroker = names.has('mqtt_broker')
    const isUsable = !usesBroker && !hasFailed && result.problems.length === 0
    const isReported = !hasFailed && this.#isComplete
    const problems = usesBroker ? [brokerProblem] : isReported ? result.problems : []
    return { value: isUsable ? result.text : null, names, empty: result.empty, problems }
  }
}

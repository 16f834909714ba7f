import type { Variables } from '../variables.ts'
import { readEnvFile } from './read-env-file.ts'
import { type ConfigSource, readConfigSource } from './read.ts'

/** The content of a configuration file and of the files that it names. Each is read once, so that later changes have no effect. */
export class ConfigFiles {
  readonly #path: string
  readonly #envFiles = new Map<string, Variables | null>()
  #source: ConfigSource | null = null

  /** `path` is the path of the configuration file as typed. */
  constructor(path: string) {
    this.#path = path
  }

  /** The configuration file, merged with the files that it extends. Throws a ConfigError. */
  get source(): ConfigSource {
    this.#source ??= readConfigSource(this.#path)
    return this.#source
  }

  /** Returns the variables of an `env_file`; null if it does not exist. Throws a UserError. */
  envFile(path: string): Variables | null {
    const known = this.#envFiles.get(path)
    if (known !== undefined) return known
    const variables = readEnvFile(path)
    this.#envFiles.set(path, variables)
    return variables
  }
}

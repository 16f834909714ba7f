import { type LoadedConfig, type LoadOptions, loadConfig } from './load.ts'
import { ConfigFiles } from './source/config-files.ts'

/** Loads one configuration repeatedly, and keeps what `scale` has changed until the next `load`. */
export class ConfigLoader {
  readonly #options: LoadOptions
  #files: ConfigFiles
  #replicas: ReadonlyMap<string, number> = new Map()

  constructor(options: LoadOptions) {
    this.#options = options
    this.#files = new ConfigFiles(options.path)
  }

  /** Reads the files again and resolves them. Throws a ConfigError, after which the last configuration remains in force. */
  load(): LoadedConfig {
    const files = new ConfigFiles(this.#options.path)
    const config = loadConfig(this.#options, files)
    this.#files = files
    this.#replicas = new Map()
    return config
  }

  /**
   * Resolves the files as they were at the last `load`, with other numbers of replicas, by the names of processes that have the key
   * `replicas`. Throws a ConfigError, after which the last numbers remain in force.
   */
  scale(changes: ReadonlyMap<string, number>): LoadedConfig {
    const replicas = new Map([...this.#replicas, ...changes])
    const config = loadConfig({ ...this.#options, replicas }, this.#files)
    this.#replicas = replicas
    return config
  }
}

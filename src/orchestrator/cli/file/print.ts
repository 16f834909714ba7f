import { loadConfig } from '../../config/load.ts'
import { maskSecrets } from '../../config/source/mask.ts'
import { readConfigSource } from '../../config/source/read.ts'
import { renderJson } from '../init/render.ts'
import { type FileOptions, toLoadOptions } from '../options.ts'

/** Prints the merged configuration as JSON, without secrets. Throws a ConfigError for an invalid file. */
export function print(typed: FileOptions): void {
  loadConfig(toLoadOptions(typed))
  process.stdout.write(`${renderJson(maskSecrets(readConfigSource(typed.config).root))}\n`)
}

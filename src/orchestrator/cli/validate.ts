import { describeDependencies, titleOf, withoutInstances } from './graph-rendering.ts'
import { type FileOptions, toLoadOptions } from './options.ts'
import { loadConfig } from '../config/load.ts'
import { startOrder } from '../config/dependency-graph.ts'

/** `validate`: throws a ConfigError for a bad file, prints the start order of a good one (O-7). */
export async function validate(typed: FileOptions): Promise<number> {
  const config = loadConfig(toLoadOptions(typed))
  const processes = withoutInstances(config)
  const byName = new Map(processes.map((process) => [process.name, process]))
  const lines = startOrder(processes).flatMap((name, index) => {
    const process = byName.get(name)
    return process === undefined
      ? []
      : [`${index + 1}. ${titleOf(process)}${describeDependencies(process, config.mqttBroker)}`]
  })
  process.stdout.write([`${typed.config} is valid. Start order:`, ...lines, ''].join('\n'))
  return 0
}

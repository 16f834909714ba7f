import { startOrder, startRanks } from '../config/dependency-graph.ts'
import { loadConfig } from '../config/load.ts'
import type { ExternalDependency, ResolvedConfig, ResolvedProcess } from '../config/resolved.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import { type FileOptions, toLoadOptions } from './options.ts'
import type { GraphFormat } from './program.ts'

const renderers = { text: renderText, mermaid: renderMermaid, dot: renderDot, json: renderJson }

/** `graph`: prints the dependency graph of what would run (O-8). */
export async function graph(typed: FileOptions, format: GraphFormat): Promise<number> {
  process.stdout.write(renderers[format](loadConfig(toLoadOptions(typed))))
  return 0
}

/** `validate`: throws a ConfigError for a bad file, prints the start order of a good one (O-7). */
export async function validate(typed: FileOptions): Promise<number> {
  const config = loadConfig(toLoadOptions(typed))
  const processes = withoutInstances(config)
  const byName = new Map(processes.map((process) => [process.name, process]))
  const lines = startOrder(processes).flatMap((name, index) => {
    const process = byName.get(name)
    return process === undefined
      ? []
      : [`${index + 1}. ${titleOf(process)}${describeDependencies(process, config.external)}`]
  })
  process.stdout.write([`${typed.config} is valid. Start order:`, ...lines, ''].join('\n'))
  return 0
}

/*
 * The graph of a configuration in the forms of O-8. Names, kinds and conditions only: nothing that could be a secret. Arrows
 * go the way of starting, from a dependency to its dependent. All texts end with a newline.
 */

/** A process of the file, with all of its instances that are to run. */
interface GroupNode extends Pick<ResolvedProcess, 'name' | 'kind' | 'dependsOn' | 'usesExternal'> {
  /** Names; empty if it has no more than one. */
  readonly instances: readonly string[]
}

/** The graph with the instances of a process as one: they all wait for the same. In the order of the file. */
export function withoutInstances({ processes }: ResolvedConfig): readonly GroupNode[] {
  const members = new Map<string, readonly ResolvedProcess[]>()
  for (const process of processes) {
    members.set(process.configName, [...(members.get(process.configName) ?? []), process])
  }
  const nameOf = new Map(
    processes.map(({ name, configName }) => [name, (members.get(configName) ?? []).length > 1 ? configName : name]),
  )
  return [...members.values()].flatMap((instances) => {
    const [first] = instances
    if (first === undefined) return []
    const dependsOn = new Map(
      first.dependsOn.map(({ name, condition }) => [nameOf.get(name) ?? name, condition] as const),
    )
    return {
      name: nameOf.get(first.name) ?? first.name,
      kind: first.kind,
      usesExternal: first.usesExternal,
      dependsOn: Array.from(dependsOn, ([name, condition]) => ({ name, condition })),
      instances: instances.length > 1 ? instances.map(({ name }) => name) : [],
    }
  })
}

/** One block for each rank: what stands in one starts at the same time. */
export function renderText(config: ResolvedConfig): string {
  const nodes = withoutInstances(config)
  const width = Math.max(...nodes.map((process) => labelOf(process).length))
  const byName = new Map(nodes.map((process) => [process.name, process]))
  const lines = startRanks(nodes).flatMap((rank, index) =>
    rank.map((name, place) => {
      const process = byName.get(name)
      const number = place === 0 ? String(index + 1) : ''
      const label = process === undefined ? name : labelOf(process)
      const waits = process === undefined ? '' : describeDependencies(process, config.external)
      return `${number.padStart(3)}  ${waits === '' ? label : label.padEnd(width) + waits}`
    }),
  )
  return `${lines.join('\n')}\n`
}

function labelOf(process: GroupNode): string {
  return process.kind === 'task' ? `${titleOf(process)} (task)` : titleOf(process)
}

/** Its name, and how many there are of it. */
export function titleOf({ name, instances }: GroupNode): string {
  return instances.length === 0 ? name : `${name} ×${instances.length}`
}

/** What a process waits for, as in ` ← store (ready), migrate (completed_successfully)`; empty if it waits for nothing. */
export function describeDependencies(
  process: Pick<GroupNode, 'dependsOn' | 'usesExternal'>,
  broker: ExternalDependency,
): string {
  const waits = process.dependsOn.map(({ name, condition }) => `${name} (${condition})`)
  if (waitsForOutsideBroker(process, broker)) waits.push(`the MQTT broker at ${formatSocketAddress(broker)}`)
  return waits.length === 0 ? '' : ` ← ${waits.join(', ')}`
}

function waitsForOutsideBroker(process: Pick<GroupNode, 'usesExternal'>, broker: ExternalDependency): boolean {
  return process.usesExternal && broker.providedBy === null
}

/** For GitHub, GitLab and mermaid.live. Tasks have round ends, the broker that is none of the processes is a cylinder. */
export function renderMermaid(config: ResolvedConfig): string {
  const processes = withoutInstances(config)
  const ids = new Map(processes.map((process, index) => [process.name, `p${index}`]))
  const nodes = processes.map((process) => {
    const title = titleOf(process)
    return `  ${ids.get(process.name)}${process.kind === 'task' ? `(["${title}"])` : `["${title}"]`}`
  })
  const edges = edgesOf(config).map(
    ({ from, to, label }) => `  ${ids.get(from) ?? 'broker'} -->|${label}| ${ids.get(to)}`,
  )
  const broker = hasOutsideBroker(config) ? [`  broker[("${brokerLabel(config)}")]`] : []
  return `${['flowchart LR', ...nodes, ...broker, ...edges].join('\n')}\n`
}

/** For Graphviz. */
export function renderDot(config: ResolvedConfig): string {
  const nodes = withoutInstances(config).map((process) => {
    const title = titleOf(process) === process.name ? [] : [`label="${titleOf(process)}"`]
    const attributes = [...title, ...(process.kind === 'task' ? ['style=rounded'] : [])]
    return `  "${process.name}"${attributes.length === 0 ? '' : ` [${attributes.join(', ')}]`};`
  })
  const broker = hasOutsideBroker(config) ? [`  "${brokerLabel(config)}" [shape=cylinder];`] : []
  const edges = edgesOf(config).map(({ from, to, label }) => `  "${from}" -> "${to}" [label="${label}"];`)
  return `${['digraph processes {', '  rankdir=LR;', '  node [shape=box];', ...nodes, ...broker, ...edges, '}'].join('\n')}\n`
}

/** For programs: `start_order` holds one list for each rank; `instances` are the names of the processes of one with `replicas`. */
export function renderJson(config: ResolvedConfig): string {
  const nodes = withoutInstances(config)
  const processes = nodes.map(({ name, kind, instances, dependsOn, usesExternal }) => ({
    name,
    kind,
    ...(instances.length === 0 ? {} : { instances }),
    depends_on: dependsOn,
    uses_mqtt_broker: usesExternal,
  }))
  const { required, providedBy } = config.external
  const broker = { address: formatSocketAddress(config.external), required, provided_by: providedBy }
  return `${JSON.stringify({ processes, start_order: startRanks(nodes), mqtt_broker: broker }, null, 2)}\n`
}

function edgesOf(config: ResolvedConfig): readonly { from: string; to: string; label: string }[] {
  return withoutInstances(config).flatMap((process) => [
    ...process.dependsOn.map(({ name, condition }) => ({ from: name, to: process.name, label: condition })),
    ...(waitsForOutsideBroker(process, config.external)
      ? [{ from: brokerLabel(config), to: process.name, label: 'accepts connections' }]
      : []),
  ])
}

function hasOutsideBroker(config: ResolvedConfig): boolean {
  return config.processes.some((process) => waitsForOutsideBroker(process, config.external))
}

function brokerLabel(config: ResolvedConfig): string {
  return `MQTT broker ${formatSocketAddress(config.external)}`
}

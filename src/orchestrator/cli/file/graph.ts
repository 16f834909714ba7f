import { separateBroker } from '../../config/resolve/broker.ts'
import { startRanks } from '../../config/dependency-graph.ts'
import { loadConfig, withoutLeftOut } from '../../config/load.ts'
import { describeProblem } from '../../config/source/problems.ts'
import type { ResolvedConfig, ResolvedProcess } from '../../config/resolved.ts'
import { formatSocketAddress } from '../../config/socket-address.ts'
import { findMissing } from './missing-programs.ts'
import { type FileOptions, type GraphFormat, toLoadOptions } from '../options.ts'

/*
 * All formats of the graph contain only names, kinds and conditions, no secrets. Arrows lead from a dependency to its
 * dependent. All texts end with a newline.
 */

const renderers = { text: renderText, mermaid: renderMermaid, dot: renderDot, json: renderJson }

export function graph(typed: FileOptions, format: GraphFormat): void {
  process.stdout.write(renderers[format](withoutLeftOut(loadConfig(toLoadOptions(typed)))))
}

/**
 * Prints the start order, in which the processes of a rank have one number, and warnings of programs and folders that are missing
 * now. Throws a ConfigError for an invalid file; with `isStrict` also for these.
 */
export function validate(typed: FileOptions, isStrict: boolean): void {
  const config = withoutLeftOut(loadConfig(toLoadOptions(typed)))
  const missing = findMissing(config)
  if (isStrict) missing.throwIfAny()
  for (const problem of [...config.warnings, ...missing.all])
    process.stderr.write(`${describeProblem(problem, 'warning: ')}\n`)
  const lines = renderRanks(withoutInstances(config), (node, number) => {
    const mark = number === '' ? '' : `${number}.`
    return `${mark.padEnd(3)}${titleOf(node)}${describeDependencies(node, config.external)}`
  })
  const others = config.files.filter((name) => name !== typed.config)
  const parts = others.length === 0 ? '' : `, with ${others.join(', ')},`
  process.stdout.write([`${typed.config}${parts} is valid. Start order:`, ...lines, ''].join('\n'))
}

/** A process of the file with all of its instances. */
interface Node extends Pick<ResolvedProcess, 'name' | 'kind' | 'dependsOn' | 'usesExternal'> {
  /** The names of the instances; empty if there is only one. */
  readonly instances: readonly string[]
}

/** Merges the instances of a process, which all have the same dependencies. The result is in the order of the file. */
function withoutInstances({ processes }: ResolvedConfig): readonly Node[] {
  const instancesOf = ({ configName }: ResolvedProcess) => {
    const names = processes.filter((other) => other.configName === configName).map(({ name }) => name)
    return names.length > 1 ? names : []
  }
  const shownName = (instance: ResolvedProcess) =>
    instancesOf(instance).length > 0 ? instance.configName : instance.name
  const nameOf = new Map(processes.map((instance) => [instance.name, shownName(instance)]))
  const merged = new Map(processes.map((instance) => [shownName(instance), instance]))
  return Array.from(merged, ([name, instance]) => {
    const conditions = new Map(
      instance.dependsOn.map((dependency) => [nameOf.get(dependency.name) ?? dependency.name, dependency.condition]),
    )
    return {
      name,
      kind: instance.kind,
      usesExternal: instance.usesExternal,
      dependsOn: Array.from(conditions, ([dependency, condition]) => ({ name: dependency, condition })),
      instances: instancesOf(instance),
    }
  })
}

/** Renders one block for each rank; the processes of a rank start at the same time. */
export function renderText(config: ResolvedConfig): string {
  const nodes = withoutInstances(config)
  const width = Math.max(...nodes.map((node) => labelOf(node).length))
  const lines = renderRanks(nodes, (node, number) => {
    const label = labelOf(node)
    const dependencies = describeDependencies(node, config.external)
    return `${number.padStart(3)}  ${dependencies === '' ? label : label.padEnd(width) + dependencies}`
  })
  return `${lines.join('\n')}\n`
}

/** Renders a line for each node; the first node of a rank has the number of the rank, the others have an empty one. */
function renderRanks(nodes: readonly Node[], render: (node: Node, number: string) => string): readonly string[] {
  return startRanks(nodes).flatMap((rank, index) =>
    rank.map((node, place) => render(node, place === 0 ? String(index + 1) : '')),
  )
}

function labelOf(node: Node): string {
  return node.kind === 'task' ? `${titleOf(node)} (task)` : titleOf(node)
}

function titleOf({ name, instances }: Node): string {
  return instances.length === 0 ? name : `${name} ×${instances.length}`
}

/** Renders ` ← store (ready), migrate (completed_successfully)`; empty without dependencies. */
export function describeDependencies(
  node: Pick<Node, 'dependsOn' | 'usesExternal'>,
  external: ResolvedConfig['external'],
): string {
  const dependencies = node.dependsOn.map(({ name, condition }) => `${name} (${condition})`)
  const broker = separateBroker(node, external)
  if (broker !== null) dependencies.push(`the MQTT broker at ${formatSocketAddress(broker)}`)
  return dependencies.length === 0 ? '' : ` ← ${dependencies.join(', ')}`
}

/** Renders for GitHub, GitLab and mermaid.live. Tasks are rounded; a broker that is not a process of the file is a cylinder. */
export function renderMermaid(config: ResolvedConfig): string {
  const processes = withoutInstances(config)
  const ids = new Map(processes.map(({ name }, index) => [name, `p${index}`]))
  const nodes = processes.map((node) => {
    const title = titleOf(node)
    return `  ${ids.get(node.name)}${node.kind === 'task' ? `(["${title}"])` : `["${title}"]`}`
  })
  const edges = edgesOf(config).map(
    ({ from, to, label }) => `  ${ids.get(from) ?? 'broker'} -->|${label}| ${ids.get(to)}`,
  )
  const broker = externalBrokers(config).map((name) => `  broker[("${name}")]`)
  return `${['flowchart LR', ...nodes, ...broker, ...edges].join('\n')}\n`
}

/** Renders for Graphviz. */
export function renderDot(config: ResolvedConfig): string {
  const nodes = withoutInstances(config).map((node) => {
    const title = titleOf(node) === node.name ? [] : [`label="${titleOf(node)}"`]
    const attributes = [...title, ...(node.kind === 'task' ? ['style=rounded'] : [])]
    return `  "${node.name}"${attributes.length === 0 ? '' : ` [${attributes.join(', ')}]`};`
  })
  const broker = externalBrokers(config).map((name) => `  "${name}" [shape=cylinder];`)
  const edges = edgesOf(config).map(({ from, to, label }) => `  "${from}" -> "${to}" [label="${label}"];`)
  return `${['digraph processes {', '  rankdir=LR;', '  node [shape=box];', ...nodes, ...broker, ...edges, '}'].join('\n')}\n`
}

/** Renders for programs: `start_order` has a list per rank, `instances` the names of the instances of a process with `replicas`. */
export function renderJson(config: ResolvedConfig): string {
  const nodes = withoutInstances(config)
  const processes = nodes.map(({ name, kind, instances, dependsOn, usesExternal }) => ({
    name,
    kind,
    ...(instances.length === 0 ? {} : { instances }),
    depends_on: dependsOn,
    uses_mqtt_broker: usesExternal,
  }))
  const start_order = startRanks(nodes).map((rank) => rank.map(({ name }) => name))
  return `${JSON.stringify({ processes, start_order, mqtt_broker: describeBroker(config) }, null, 2)}\n`
}

function describeBroker({ external }: ResolvedConfig): object | null {
  if (external === null) return null
  const { required, providedBy } = external
  return { address: formatSocketAddress(external), required, provided_by: providedBy }
}

function edgesOf(config: ResolvedConfig): readonly { from: string; to: string; label: string }[] {
  return withoutInstances(config).flatMap((node) => [
    ...node.dependsOn.map(({ name, condition }) => ({ from: name, to: node.name, label: condition })),
    ...brokerLabels(node, config).map((from) => ({ from, to: node.name, label: 'accepts connections' })),
  ])
}

/** Returns the label of the broker in a list; empty unless a process uses a broker that is not a process of the file. */
function externalBrokers(config: ResolvedConfig): readonly string[] {
  return config.processes.flatMap((definition) => brokerLabels(definition, config)).slice(0, 1)
}

function brokerLabels(node: Pick<Node, 'usesExternal'>, { external }: ResolvedConfig): readonly string[] {
  const broker = separateBroker(node, external)
  return broker === null ? [] : [`MQTT broker ${formatSocketAddress(broker)}`]
}

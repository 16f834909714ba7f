import type { MqttBroker, ResolvedConfig, ResolvedProcess } from '../supervisor/config/resolved.ts'
import { formatSocketAddress } from '../supervisor/config/socket-address.ts'
import { startRanks } from '../supervisor/graph.ts'

/*
 * The graph of a configuration in the forms of O-8. Names, kinds and conditions only: nothing that could be a secret. Arrows
 * go the way of starting, from a dependency to its dependent. All texts end with a newline.
 */

/** One block for each rank: what stands in one starts at the same time. */
export function renderText(config: ResolvedConfig): string {
  const width = Math.max(...config.processes.map((process) => labelOf(process).length))
  const byName = new Map(config.processes.map((process) => [process.name, process]))
  const lines = startRanks(config.processes).flatMap((rank, index) =>
    rank.map((name, place) => {
      const process = byName.get(name)
      const number = place === 0 ? String(index + 1) : ''
      const label = process === undefined ? name : labelOf(process)
      const waits = process === undefined ? '' : describeDependencies(process, config.mqttBroker)
      return `${number.padStart(3)}  ${waits === '' ? label : label.padEnd(width) + waits}`
    }),
  )
  return `${lines.join('\n')}\n`
}

function labelOf(process: ResolvedProcess): string {
  return process.kind === 'task' ? `${process.name} (task)` : process.name
}

/** What a process waits for, as in ` ← store (ready), migrate (completed_successfully)`; empty if it waits for nothing. */
export function describeDependencies(process: ResolvedProcess, broker: MqttBroker): string {
  const waits = process.dependsOn.map(({ name, condition }) => `${name} (${condition})`)
  if (waitsForOutsideBroker(process, broker)) waits.push(`the MQTT broker at ${formatSocketAddress(broker)}`)
  return waits.length === 0 ? '' : ` ← ${waits.join(', ')}`
}

function waitsForOutsideBroker(process: ResolvedProcess, broker: MqttBroker): boolean {
  return process.usesMqttBroker && broker.providedBy === null
}

/** For GitHub, GitLab and mermaid.live. Tasks have round ends, the broker that is none of the processes is a cylinder. */
export function renderMermaid(config: ResolvedConfig): string {
  const ids = new Map(config.processes.map((process, index) => [process.name, `p${index}`]))
  const nodes = config.processes.map(
    ({ name, kind }) => `  ${ids.get(name)}${kind === 'task' ? `(["${name}"])` : `["${name}"]`}`,
  )
  const edges = edgesOf(config).map(
    ({ from, to, label }) => `  ${ids.get(from) ?? 'broker'} -->|${label}| ${ids.get(to)}`,
  )
  const broker = hasOutsideBroker(config) ? [`  broker[("${brokerLabel(config)}")]`] : []
  return `${['flowchart LR', ...nodes, ...broker, ...edges].join('\n')}\n`
}

/** For Graphviz. */
export function renderDot(config: ResolvedConfig): string {
  const nodes = config.processes.map(({ name, kind }) => `  "${name}"${kind === 'task' ? ' [style=rounded]' : ''};`)
  const broker = hasOutsideBroker(config) ? [`  "${brokerLabel(config)}" [shape=cylinder];`] : []
  const edges = edgesOf(config).map(({ from, to, label }) => `  "${from}" -> "${to}" [label="${label}"];`)
  return `${['digraph processes {', '  rankdir=LR;', '  node [shape=box];', ...nodes, ...broker, ...edges, '}'].join('\n')}\n`
}

/** For programs: `start_order` holds one list for each rank. */
export function renderJson(config: ResolvedConfig): string {
  const processes = config.processes.map(({ name, kind, dependsOn, usesMqttBroker }) => ({
    name,
    kind,
    depends_on: dependsOn,
    uses_mqtt_broker: usesMqttBroker,
  }))
  const { required, providedBy } = config.mqttBroker
  const broker = { address: formatSocketAddress(config.mqttBroker), required, provided_by: providedBy }
  return `${JSON.stringify({ processes, start_order: startRanks(config.processes), mqtt_broker: broker }, null, 2)}\n`
}

function edgesOf(config: ResolvedConfig): readonly { from: string; to: string; label: string }[] {
  return config.processes.flatMap((process) => [
    ...process.dependsOn.map(({ name, condition }) => ({ from: name, to: process.name, label: condition })),
    ...(waitsForOutsideBroker(process, config.mqttBroker)
      ? [{ from: brokerLabel(config), to: process.name, label: 'accepts connections' }]
      : []),
  ])
}

function hasOutsideBroker(config: ResolvedConfig): boolean {
  return config.processes.some((process) => waitsForOutsideBroker(process, config.mqttBroker))
}

function brokerLabel(config: ResolvedConfig): string {
  return `MQTT broker ${formatSocketAddress(config.mqttBroker)}`
}

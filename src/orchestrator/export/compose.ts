import type { DependencyCondition, ResolvedConfig, ResolvedRestart } from '../config/resolved.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import {
  containerCommand,
  containerEnvironment,
  containerFolder,
  type ContainerOptions,
  imageNotes,
  logFileNote,
  logLineNote,
  probeCommand,
} from './container.ts'
import {
  type Export,
  type ExportedProbe,
  type ExportedProcess,
  exportedProcesses,
  type Note,
  noteLines,
  notesAbout,
} from './exported-graph.ts'
import { renderYaml, type YamlValue } from './yaml.ts'

type ById = ReadonlyMap<string, ExportedProcess>

/**
 * One file for `docker compose` (O-10). All containers share the host's network, so that every address of the configuration
 * stays right. Pure.
 */
export function exportCompose(config: ResolvedConfig, options: ContainerOptions): Export {
  const processes = exportedProcesses(config, options)
  const byName: ById = new Map(processes.map((exported) => [exported.process.name, exported]))
  const services = processes.map((exported) => [exported.id, serviceOf(exported, byName, config, options)] as const)
  const document = { name: options.project, services: Object.fromEntries(services) }
  const notes = noteLines([...imageNotes(options), ...brokerNote(config), ...processes.flatMap(notesOf)])
  const comments = notes.map((note) => `# ${note}\n`).join('')
  return { files: [{ name: 'compose.yaml', text: `${comments}${renderYaml(document)}` }], notes }
}

function serviceOf(
  exported: ExportedProcess,
  byName: ById,
  config: ResolvedConfig,
  { image }: ContainerOptions,
): YamlValue {
  const { process, readiness, secrets } = exported
  const { restart, shutdown } = process
  const dependsOn = process.dependsOn.flatMap(({ name, condition }) => {
    const dependency = byName.get(name)
    return dependency === undefined ? [] : [[dependency.id, { condition: conditionOf(condition, dependency) }] as const]
  })
  const environment = Object.entries(containerEnvironment(exported))
  return {
    image: literal(image),
    entrypoint: containerCommand(exported).map(literal),
    working_dir: literal(containerFolder(config, process.cwd)),
    environment:
      environment.length === 0
        ? undefined
        : Object.fromEntries(environment.map(([name, value]) => [name, literal(value)])),
    env_file: secrets.length === 0 ? undefined : [`${exported.id}.env`],
    depends_on: dependsOn.length === 0 ? undefined : Object.fromEntries(dependsOn),
    healthcheck: readiness === null ? undefined : healthcheckOf(readiness, process.startupTimeoutMs),
    restart: restartOf(restart),
    stop_signal: shutdown.signal,
    stop_grace_period: duration(shutdown.timeoutMs),
    init: true,
    network_mode: 'host',
  }
}

/** Compose fills in variables where it sees a dollar. */
function literal(text: string): string {
  return text.replaceAll('$', '$$$$')
}

function duration(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`
}

function conditionOf(condition: DependencyCondition, dependency: ExportedProcess): string {
  if (condition === 'completed' || condition === 'completed_successfully') return 'service_completed_successfully'
  const isProbed = dependency.readiness !== null && probeCommand(dependency.readiness) !== null
  return condition === 'ready' && isProbed ? 'service_healthy' : 'service_started'
}

function healthcheckOf(probe: ExportedProbe, startupTimeoutMs: number): YamlValue | undefined {
  const command = probeCommand(probe)
  if (command === null) return undefined
  return {
    test: ['CMD-SHELL', literal(command)],
    start_period: duration(startupTimeoutMs),
    start_interval: duration(probe.periodMs.beforeReady),
    interval: duration(probe.periodMs.afterReady),
    timeout: duration(probe.timeoutMs),
    retries: probe.failureThreshold,
  }
}

function restartOf({ policy, maxAttempts }: ResolvedRestart): string {
  if (policy === 'never') return 'no'
  if (policy === 'always') return 'unless-stopped'
  return Number.isFinite(maxAttempts) ? `on-failure:${maxAttempts}` : 'on-failure'
}

function brokerNote({ external, processes }: ResolvedConfig): readonly Note[] {
  if (external.providedBy !== null || !processes.some((process) => process.usesExternal)) return []
  const text = `the MQTT broker at ${formatSocketAddress(external)} is none of the processes and must run already`
  return [{ about: null, text }]
}

function notesOf(exported: ExportedProcess): readonly Note[] {
  const { process, readiness, liveness, secrets, id } = exported
  const { name, restart, dependsOn } = process
  const isUnbounded = restart.policy === 'always' && Number.isFinite(restart.maxAttempts)
  return notesAbout(name, [
    secrets.length > 0 &&
      `${secrets.join(', ')}: secret, so not in here; write NAME=value lines into ${id}.env beside this file`,
    readiness?.check.type === 'log_line' && logLineNote,
    process.log.file !== null && logFileNote,
    liveness !== null && 'Compose has no liveness probes: a process that hangs is not restarted',
    isUnbounded && 'Compose sets no bound to restarts of a process that is always restarted',
    ...dependsOn.map(
      (dependency) =>
        dependency.condition === 'completed' &&
        `Compose waits for ${dependency.name} to succeed; here it only has to end`,
    ),
  ])
}

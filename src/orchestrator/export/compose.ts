import { relative } from 'node:path'
import type { LoadedConfig } from '../config/load.ts'
import { separateBroker } from '../config/resolve/broker.ts'
import type { DependencyCondition, ResolvedConfig, ResolvedProcess, ResolvedRestart } from '../config/resolved.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import {
  containerCommand,
  containerEnvironment,
  containerExport,
  containerFolder,
  containerNotes,
  type ContainerOptions,
  probeCommand,
  probeProgramNotes,
} from './container.ts'
import {
  envFileLayers,
  type Export,
  type ExportedProbe,
  type ExportedProcess,
  exportedProcesses,
  type Note,
  notesAbout,
  secretGroups,
  timeSpan,
  type VariableLayer,
} from './exported-graph.ts'
import { unlessEmpty, type YamlValue } from './yaml.ts'

/** Renders a file for `docker compose`. The containers use the host's network, so that addresses on 127.0.0.1 stay valid. */
export function exportCompose(config: LoadedConfig, options: ContainerOptions): Export {
  const processes = exportedProcesses(config)
  const services = processes.map((exported) => [exported.id, serviceOf(exported, processes, config, options)] as const)
  const document = { name: options.project, services: Object.fromEntries(services) }
  return containerExport('compose.yaml', [document], options, [
    ...brokerNote(config),
    ...processes.flatMap((exported) => notesOf(exported, options)),
  ])
}

function serviceOf(
  exported: ExportedProcess,
  processes: readonly ExportedProcess[],
  config: ResolvedConfig,
  { image, folder }: ContainerOptions,
): YamlValue {
  const { definition, readiness, instances } = exported
  const { restart, shutdown } = definition
  const dependsOn = definition.dependsOn.flatMap(({ name, condition }) => {
    const dependency = processes.find(({ instances }) => instances.includes(name))
    if (dependency === undefined) return []
    // Without its profile, the dependency does not run and counts as satisfied.
    const isOptional = dependency.definition.profiles.length > 0
    const form = { condition: conditionOf(condition, dependency), required: isOptional ? false : undefined }
    return [[dependency.id, form] as const]
  })
  const environment = Object.entries(containerEnvironment(exported)).map(([name, value]) => [name, literal(value)])
  return {
    image: literal(image),
    profiles: profilesOf(definition),
    entrypoint: containerCommand(exported).map(literal),
    tty: definition.tty || undefined,
    stdin_open: definition.tty || undefined,
    working_dir: literal(containerFolder(config, definition.cwd)),
    environment: unlessEmpty(Object.fromEntries(environment)),
    env_file: unlessEmpty(exported.layers.map((layer) => fileOf(layer, folder))),
    depends_on: unlessEmpty(Object.fromEntries(dependsOn)),
    deploy: instances.length > 1 ? { replicas: instances.length } : undefined,
    healthcheck: readiness === null ? undefined : healthcheckOf(readiness, definition.startupTimeoutMs),
    restart: restartOf(restart),
    mem_limit: definition.memoryLimit ?? undefined,
    stop_signal: shutdown.signal,
    stop_grace_period: timeSpan(shutdown.timeoutMs),
    init: true,
    network_mode: 'host',
  }
}

function fileOf(layer: VariableLayer, folder: string): YamlValue {
  if (layer.type === 'secrets') return `${layer.id}.env`
  return { path: literal(pathFrom(folder, layer.path)), required: layer.isRequired }
}

/** Returns a path relative to the folder of the Compose file. */
function pathFrom(folder: string, path: string): string {
  const inside = relative(folder, path)
  return inside.startsWith('../') ? inside : `./${inside}`
}

/** Returns the profiles. Compose has no schedules, so a task with a schedule must not start with the others. */
function profilesOf({ profiles, schedule }: ResolvedProcess): readonly string[] | undefined {
  if (schedule !== null) return ['scheduled']
  return profiles.length === 0 ? undefined : profiles
}

/** Escapes dollar signs, after which Compose expands variables. */
function literal(text: string): string {
  return text.replaceAll('$', '$$$$')
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
    start_period: timeSpan(startupTimeoutMs),
    start_interval: timeSpan(probe.periodMs.beforeReady),
    interval: timeSpan(probe.periodMs.afterReady),
    timeout: timeSpan(probe.timeoutMs),
    retries: probe.failureThreshold,
  }
}

function restartOf({ policy, maxAttempts }: ResolvedRestart): string {
  if (policy === 'never') return 'no'
  if (policy === 'always') return 'unless-stopped'
  return Number.isFinite(maxAttempts) ? `on-failure:${maxAttempts}` : 'on-failure'
}

/** Returns the note about values of an `env_file` with dollar signs; false if there are none. */
function dollarNote(exported: ExportedProcess, folder: string): string | false {
  const names = exported.fromFiles.filter((name) => exported.definition.env[name]?.includes('$'))
  const paths = envFileLayers(exported).map(({ path }) => pathFrom(folder, path))
  return (
    names.length > 0 &&
    `Compose expands the dollar signs of ${names.join(', ')} in ${paths.join(', ')}: write these values in single quotes`
  )
}

function brokerNote({ external, processes }: ResolvedConfig): readonly Note[] {
  const [broker] = processes.flatMap((definition) => separateBroker(definition, external) ?? [])
  return notesAbout(null, [
    broker !== undefined &&
      `the MQTT broker at ${formatSocketAddress(broker)} is not one of the processes and must already run`,
  ])
}

function notesOf(exported: ExportedProcess, { folder }: ContainerOptions): readonly Note[] {
  const { definition, liveness, id, title } = exported
  const { restart, dependsOn } = definition
  return notesAbout(title, [
    ...secretGroups(exported).map(
      (group) =>
        `${group.names.join(', ')}: secret, so not included; write NAME=value lines into ${group.id}.env beside this file`,
    ),
    dollarNote(exported, folder),
    ...containerNotes(exported),
    ...probeProgramNotes([exported.readiness]),
    exported.schedule !== null &&
      `Compose has no schedules, so it is in the profile "scheduled", which "up" does not start: let cron run "docker compose run --rm ${id}" at ${definition.schedule}`,
    liveness !== null && 'Compose has no liveness probes: a process that hangs is not restarted',
    restart.policy === 'always' &&
      Number.isFinite(restart.maxAttempts) &&
      'Compose has no limit for the restarts of a process with the policy "always"',
    ...dependsOn.map(
      (dependency) =>
        dependency.condition === 'completed' &&
        `Compose waits until ${dependency.name} succeeds; the orchestrator only waits until it ends`,
    ),
  ])
}

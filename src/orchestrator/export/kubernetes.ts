import type { LoadedConfig } from '../config/load.ts'
import { separateBroker } from '../config/resolve/broker.ts'
import type { DependencyCondition, ResolvedConfig } from '../config/resolved.ts'
import { renderCron } from '../config/cron.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import {
  containerCommand,
  containerEnvironment,
  containerExport,
  containerFolder,
  containerNotes,
  type ContainerOptions,
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
  PROFILES_NOTE,
} from './exported-graph.ts'
import { type KnownAddress, namesLoopback, portsOf, rewriteAddresses, kubernetesProbes } from './kubernetes-network.ts'
import { unlessEmpty, type YamlObject } from './yaml.ts'

/** The image of kubectl. Since 1.31, `kubectl wait` waits for a field that does not exist yet. */
const kubectlImage = 'registry.k8s.io/kubectl:v1.33.1'
const MAX_BACKOFF_LIMIT = 2_147_483_647

interface Context {
  readonly processes: readonly ExportedProcess[]
  readonly known: readonly KnownAddress[]
  readonly config: ResolvedConfig
  readonly options: ContainerOptions
  /** The names of the Secrets with the variables of each `env_file`, by its path. */
  readonly fileSecrets: ReadonlyMap<string, string>
}

/** Renders one file: a Deployment for each service, a Job for each task, a Service for the known ports of a process. */
export function exportKubernetes(config: LoadedConfig, options: ContainerOptions): Export {
  const processes = exportedProcesses(config)
  const known = processes.flatMap((exported) => portsOf(exported, config).map((port) => ({ id: exported.id, port })))
  const context: Context = { processes, known, config, options, fileSecrets: fileSecretsOf(processes) }
  const manifests = [
    ...(processes.some(({ definition }) => definition.dependsOn.length > 0) ? waitPermissions(options.project) : []),
    ...processes.flatMap((exported) => [...serviceOf(exported, context), workloadOf(exported, context)]),
  ]
  const notes = processes.flatMap((exported) => notesOf(exported, context))
  return containerExport(`${options.project}.yaml`, manifests, options, notes)
}

function labelsOf({ id }: ExportedProcess, { options }: Context): Readonly<Record<string, string>> {
  return { 'app.kubernetes.io/name': id, 'app.kubernetes.io/part-of': options.project }
}

function serviceOf(exported: ExportedProcess, context: Context): readonly YamlObject[] {
  const ports = portsOf(exported, context.config).map((port) => ({ name: `port-${port}`, port }))
  if (ports.length === 0) return []
  const labels = labelsOf(exported, context)
  const metadata = { name: exported.id, labels }
  return [{ apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: labels, ports } }]
}

function workloadOf(exported: ExportedProcess, context: Context): YamlObject {
  const { definition, id, instances } = exported
  const labels = labelsOf(exported, context)
  const metadata = { name: id, labels }
  if (definition.kind === 'service') {
    const template = { metadata: { labels }, spec: podOf(exported, context) }
    // As with the orchestrator, the old process is gone before the new one starts.
    const spec = {
      replicas: instances.length,
      strategy: { type: 'Recreate' },
      selector: { matchLabels: labels },
      template,
    }
    return { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec }
  }
  const { policy, maxAttempts } = definition.restart
  const isRetried = policy !== 'never'
  const backoffLimit = isRetried ? Math.min(maxAttempts, MAX_BACKOFF_LIMIT) : 0
  const restartPolicy = isRetried ? 'OnFailure' : 'Never'
  const template = { metadata: { labels }, spec: { restartPolicy, ...podOf(exported, context) } }
  const job = { backoffLimit, template }
  if (exported.schedule === null) return { apiVersion: 'batch/v1', kind: 'Job', metadata, spec: job }
  const schedule = renderCron(exported.schedule, { seconds: false })
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions()
  const spec = { schedule, timeZone, concurrencyPolicy: 'Forbid', jobTemplate: { spec: job } }
  return { apiVersion: 'batch/v1', kind: 'CronJob', metadata, spec }
}

function podOf(exported: ExportedProcess, context: Context): YamlObject {
  const waits = waitContainers(exported, context)
  return {
    terminationGracePeriodSeconds: Math.ceil(exported.definition.shutdown.timeoutMs / 1000),
    serviceAccountName: waits.length === 0 ? undefined : context.options.project,
    initContainers: unlessEmpty(waits),
    containers: [containerOf(exported, context)],
  }
}

function containerOf(exported: ExportedProcess, { known, config, options, fileSecrets }: Context): YamlObject {
  const { definition, id } = exported
  const rewrite = (text: string) => literal(rewriteAddresses(text, id, known))
  const environment = Object.entries(containerEnvironment(exported))
  const env = [
    ...environment.map(([name, value]) => ({ name, value: rewrite(value) })),
    ...secretVariables(exported).map(([key, group]) => ({
      name: key,
      valueFrom: { secretKeyRef: { name: secretName(group), key } },
    })),
  ]
  return {
    name: id,
    image: options.image,
    command: containerCommand(exported).map(rewrite),
    tty: definition.tty || undefined,
    stdin: definition.tty || undefined,
    workingDir: containerFolder(config, definition.cwd),
    envFrom: unlessEmpty(
      envFileLayers(exported).map(({ path, isRequired }) => ({
        secretRef: { name: fileSecrets.get(path) ?? '', optional: isRequired ? undefined : true },
      })),
    ),
    env: unlessEmpty(env),
    ports: unlessEmpty(portsOf(exported, config).map((containerPort) => ({ containerPort }))),
    resources: definition.memoryLimit === null ? undefined : { limits: { memory: String(definition.memoryLimit) } },
    ...kubernetesProbes(exported),
    lifecycle: definition.shutdown.signal === 'SIGTERM' ? undefined : stopBySignal(exported),
  }
}

/** Escapes `$(`, after which Kubernetes expands variables. */
function literal(text: string): string {
  return text.replaceAll('$(', '$$$$(')
}

function secretName(id: string): string {
  return `${id}-secrets`
}

/** Returns a Secret for each `env_file`, named after the first process that uses it. */
function fileSecretsOf(processes: readonly ExportedProcess[]): ReadonlyMap<string, string> {
  const secrets = new Map<string, string>()
  for (const { id, path } of processes.flatMap((exported) => envFileLayers(exported))) {
    if (secrets.has(path)) continue
    const taken = new Set(secrets.values())
    let name = `${id}-env`
    for (let number = 2; taken.has(name); number += 1) name = `${id}-env-${number}`
    secrets.set(path, name)
  }
  return secrets
}

/** Returns the variables with secrets, each with the id of its group. Those that a later `env_file` sets are not among them. */
function secretVariables(exported: ExportedProcess): readonly (readonly [string, string])[] {
  const pairs = secretGroups(exported).flatMap(({ id, names }) => names.map((name) => [name, id] as const))
  return [...new Map(pairs)].filter(([name]) => !exported.fromFiles.includes(name))
}

/** Renders a hook that sends the stop signal. Kubernetes sends SIGTERM only after the hook, which ends with the container. */
function stopBySignal({ definition }: ExportedProcess): YamlObject {
  const { signal, timeoutMs } = definition.shutdown
  const line = `kill -${signal.slice('SIG'.length)} 1; sleep ${Math.ceil(timeoutMs / 1000)}`
  return { preStop: { exec: { command: ['/bin/sh', '-c', line] } } }
}

/** Renders containers that run one after the other; each ends when a dependency meets its condition. */
function waitContainers({ definition }: ExportedProcess, { processes }: Context): readonly YamlObject[] {
  const containers = definition.dependsOn.flatMap(({ name, condition }) => {
    const dependency = processes.find(({ instances }) => instances.includes(name))
    if (dependency === undefined) return []
    const { id, definition } = dependency
    const resource = definition.kind === 'task' ? `job/${id}` : `deployment/${id}`
    const command = ['kubectl', 'wait', waitFor(condition, dependency), resource, '--timeout=-1s']
    return [[id, { name: `wait-for-${id}`, image: kubectlImage, command }] as const]
  })
  // One for all replicas.
  return [...new Map(containers).values()]
}

function waitFor(condition: DependencyCondition, { definition, instances }: ExportedProcess): string {
  if (definition.kind === 'service') {
    return condition === 'started'
      ? `--for=jsonpath={.status.replicas}=${instances.length}`
      : '--for=condition=Available'
  }
  if (condition === 'completed_successfully' || condition === 'ready') return '--for=condition=Complete'
  // The first condition of a Job is either Complete or Failed.
  return condition === 'completed' ? '--for=jsonpath={.status.conditions}' : '--for=jsonpath={.status.startTime}'
}

/** Renders an account that can only read the objects for which the wait containers wait. */
function waitPermissions(project: string): readonly YamlObject[] {
  const group = 'rbac.authorization.k8s.io'
  const metadata = { name: project }
  const rule = (apiGroup: string, resource: string) => ({
    apiGroups: [apiGroup],
    resources: [resource],
    verbs: ['get', 'list', 'watch'],
  })
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { apiVersion: `${group}/v1`, kind: 'Role', metadata, rules: [rule('apps', 'deployments'), rule('batch', 'jobs')] },
    {
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: group, kind: 'Role', name: project },
      subjects: [{ kind: 'ServiceAccount', name: project }],
    },
  ]
}

function notesOf(exported: ExportedProcess, { known, config, fileSecrets }: Context): readonly Note[] {
  const { definition, title } = exported
  const { kind, restart } = definition
  const broker = separateBroker(definition, config.external)
  const create = (secret: string, path: string) => `kubectl create secret generic ${secret} --from-env-file=${path}`
  const loopback = loopbackPlaces(exported, known)
  return notesAbout(title, [
    ...secretGroups(exported).map(
      ({ id, names }) => `${names.join(', ')}: secret, so not included; create it with ${create(secretName(id), '…')}`,
    ),
    ...envFileLayers(exported).map(
      ({ path, isRequired }) =>
        `the variables of ${path} are not included${isRequired ? '' : ' and optional'}; create them with ${create(fileSecrets.get(path) ?? '', path)}, which keeps quotes as a part of the values`,
    ),
    ...containerNotes(exported),
    ...probeProgramNotes([exported.readiness, exported.liveness].filter(hasSecretUrl)),
    definition.profiles.length > 0 && PROFILES_NOTE,
    exported.schedule !== null &&
      exported.schedule.second.values.join() !== '0' &&
      'a CronJob has no seconds: it runs once in each minute of its schedule',
    loopback.length > 0 &&
      `${loopback.join(', ')} contains an address of this machine (127.0.0.1, localhost), which in a cluster is the pod itself`,
    kind === 'service' && restart.policy !== 'always' && 'a Deployment restarts it whenever it ends',
    broker !== null && `the MQTT broker at ${formatSocketAddress(broker)} is not one of the processes`,
  ])
}

/** Returns whether a command runs the probe instead of Kubernetes, because only the container has the secret. */
function hasSecretUrl(probe: ExportedProbe | null): boolean {
  return probe?.check.type === 'http_get' && 'secret' in probe.check.url
}

/** Returns the places of addresses of this machine that remain because no process is known to listen there. */
function loopbackPlaces(exported: ExportedProcess, known: readonly KnownAddress[]): readonly string[] {
  const isLeft = (text: string) => namesLoopback(rewriteAddresses(text, exported.id, known))
  const variables = Object.entries(containerEnvironment(exported)).flatMap(([name, value]) =>
    isLeft(value) ? [name] : [],
  )
  // The variables of an `env_file` are not rewritten.
  const inFiles = exported.fromFiles.filter((name) => namesLoopback(exported.definition.env[name] ?? ''))
  const all = [...variables, ...inFiles]
  return containerCommand(exported).some(isLeft) ? ['its command', ...all] : all
}

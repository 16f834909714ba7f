import type { ResolvedConfig, DependencyCondition } from '../config/resolved.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import {
  containerCommand,
  containerEnvironment,
  containerFolder,
  type ContainerOptions,
  imageNotes,
  logFileNote,
  logLineNote,
} from './container.ts'
import {
  type Export,
  type ExportedProcess,
  exportedProcesses,
  noteLines,
  type Note,
  notesAbout,
} from './exported-graph.ts'
import { addressesOf, type KnownAddress, portsOf, rewriteAddresses, namesLoopback } from './kubernetes-addresses.ts'
import { kubernetesProbes } from './kubernetes-probes.ts'
import { renderYaml, type YamlValue } from './yaml.ts'

type Manifest = Readonly<Record<string, YamlValue | undefined>>

/** A Deployment for each service, a Job for each task, a Service for each known port, in one file (O-10). Pure. */
export function exportKubernetes(config: ResolvedConfig, options: ContainerOptions): Export {
  const processes = exportedProcesses(config, options)
  const known = addressesOf(processes, config)
  const manifests = [
    ...(processes.some(({ process }) => process.dependsOn.length > 0) ? waitPermissions(options.project) : []),
    ...processes.flatMap((exported) => [
      ...serviceOf(exported, config, options),
      workloadOf(exported, { processes, known, config, options }),
    ]),
  ]
  const notes = noteLines([
    ...imageNotes(options),
    ...processes.flatMap((exported) => kubernetesNotes(exported, known, config)),
  ])
  const comments = notes.map((note) => `# ${note}\n`).join('')
  const text = comments + manifests.map((manifest) => renderYaml(manifest)).join('---\n')
  return { files: [{ name: `${options.project}.yaml`, text }], notes }
}

interface Surroundings {
  readonly processes: readonly ExportedProcess[]
  readonly known: readonly KnownAddress[]
  readonly config: ResolvedConfig
  readonly options: ContainerOptions
}

function labelsOf({ id }: ExportedProcess, project: string): Readonly<Record<string, string>> {
  return { 'app.kubernetes.io/name': id, 'app.kubernetes.io/part-of': project }
}

function serviceOf(exported: ExportedProcess, config: ResolvedConfig, { project }: ContainerOptions): Manifest[] {
  const ports = portsOf(exported, config)
  if (ports.length === 0) return []
  const labels = labelsOf(exported, project)
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: exported.id, labels },
      spec: { selector: labels, ports: ports.map((port) => ({ name: `port-${port}`, port })) },
    },
  ]
}

function workloadOf(exported: ExportedProcess, around: Surroundings): Manifest {
  const { process, id } = exported
  const labels = labelsOf(exported, around.options.project)
  const metadata = { name: id, labels }
  if (process.kind === 'service') {
    const template = { metadata: { labels }, spec: podOf(exported, around) }
    // Like the orchestrator: the old one is gone before the new one comes.
    const spec = { replicas: 1, strategy: { type: 'Recreate' }, selector: { matchLabels: labels }, template }
    return { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec }
  }
  const { policy, maxAttempts } = process.restart
  const isRetried = policy !== 'never'
  const backoffLimit = isRetried ? Math.min(maxAttempts, 2_147_483_647) : 0
  const restartPolicy = isRetried ? 'OnFailure' : 'Never'
  const template = { metadata: { labels }, spec: { restartPolicy, ...podOf(exported, around) } }
  return { apiVersion: 'batch/v1', kind: 'Job', metadata, spec: { backoffLimit, template } }
}

function podOf(exported: ExportedProcess, { processes, known, config, options }: Surroundings): Manifest {
  const waits = waitContainers(exported, processes)
  return {
    terminationGracePeriodSeconds: Math.ceil(exported.process.shutdown.timeoutMs / 1000),
    serviceAccountName: waits.length === 0 ? undefined : options.project,
    initContainers: waits.length === 0 ? undefined : waits,
    containers: [containerOf(exported, known, config, options)],
  }
}

function containerOf(
  exported: ExportedProcess,
  known: readonly KnownAddress[],
  config: ResolvedConfig,
  { image }: ContainerOptions,
): Manifest {
  const { process, id, secrets } = exported
  const rewrite = (text: string) => literal(rewriteAddresses(text, id, known))
  const environment = Object.entries(containerEnvironment(exported))
  const plain = environment.map(([name, value]) => ({ name, value: rewrite(value) }))
  const secret = secrets.map((name) => ({
    name,
    valueFrom: { secretKeyRef: { name: secretName(exported), key: name } },
  }))
  const env = [...plain, ...secret]
  const ports = portsOf(exported, config).map((containerPort) => ({ containerPort }))
  return {
    name: id,
    image,
    command: containerCommand(exported).map(rewrite),
    workingDir: containerFolder(config, process.cwd),
    env: env.length === 0 ? undefined : env,
    ports: ports.length === 0 ? undefined : ports,
    ...kubernetesProbes(exported),
    lifecycle: process.shutdown.signal === 'SIGTERM' ? undefined : stopBySignal(exported),
  }
}

/** Kubernetes fills in variables where it sees `$(`. */
function literal(text: string): string {
  return text.replaceAll('$(', '$$$$(')
}

/** SIGTERM, which Kubernetes sends, comes only when this has ended, and the container's end ends it. */
function stopBySignal({ process }: ExportedProcess): YamlValue {
  const { signal, timeoutMs } = process.shutdown
  const line = `kill -${signal.slice('SIG'.length)} 1; sleep ${Math.ceil(timeoutMs / 1000)}`
  return { preStop: { exec: { command: ['/bin/sh', '-c', line] } } }
}

/** Knows to wait until a field is there at all since 1.31. */
const kubectlImage = 'registry.k8s.io/kubectl:v1.33.1'

/** Containers that end, one after the other, when what a process depends on is as it has to be. */
function waitContainers({ process }: ExportedProcess, processes: readonly ExportedProcess[]): readonly Manifest[] {
  return process.dependsOn.flatMap(({ name, condition }) => {
    const dependency = processes.find((exported) => exported.process.name === name)
    if (dependency === undefined) return []
    const args = ['wait', waitFor(condition, dependency), resourceOf(dependency), '--timeout=-1s']
    return [{ name: `wait-for-${dependency.id}`, image: kubectlImage, command: ['kubectl', ...args] }]
  })
}

function resourceOf({ process, id }: ExportedProcess): string {
  return process.kind === 'task' ? `job/${id}` : `deployment/${id}`
}

function waitFor(condition: DependencyCondition, { process }: ExportedProcess): string {
  if (process.kind === 'service') {
    return condition === 'started' ? '--for=jsonpath={.status.replicas}=1' : '--for=condition=Available'
  }
  if (condition === 'completed_successfully' || condition === 'ready') return '--for=condition=Complete'
  // Either condition, Complete or Failed, is the first one that a Job has.
  return condition === 'completed' ? '--for=jsonpath={.status.conditions}' : '--for=jsonpath={.status.startTime}'
}

/** Waiting means reading: an account that may do that and nothing else. */
function waitPermissions(project: string): readonly Manifest[] {
  const rule = (apiGroup: string, resource: string) => ({
    apiGroups: [apiGroup],
    resources: [resource],
    verbs: ['get', 'list', 'watch'],
  })
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: project } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: project },
      rules: [rule('apps', 'deployments'), rule('batch', 'jobs')],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: project },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: project },
      subjects: [{ kind: 'ServiceAccount', name: project }],
    },
  ]
}

/** What a person has to know or to do about one process before Kubernetes can run it. */
function kubernetesNotes(
  exported: ExportedProcess,
  known: readonly KnownAddress[],
  { external }: ResolvedConfig,
): readonly Note[] {
  const { process, secrets, readiness } = exported
  const { name, kind, restart } = process
  const create = `kubectl create secret generic ${secretName(exported)} --from-env-file=…`
  const loopback = loopbackPlaces(exported, known)
  const isOutsideBroker = process.usesExternal && external.providedBy === null
  return notesAbout(name, [
    secrets.length > 0 && `${secrets.join(', ')}: secret, so not in here; give it with ${create}`,
    readiness?.check.type === 'log_line' && logLineNote,
    process.log.file !== null && logFileNote,
    loopback.length > 0 &&
      `${loopback.join(', ')} speaks of this machine (127.0.0.1, localhost), which is the pod itself in a cluster`,
    kind === 'service' && restart.policy !== 'always' && 'a Deployment restarts it whenever it ends',
    isOutsideBroker && `the MQTT broker at ${formatSocketAddress(external)} is none of the processes`,
  ])
}

/** Where an address of this machine is left that nobody is known to answer at. */
function loopbackPlaces(exported: ExportedProcess, known: readonly KnownAddress[]): readonly string[] {
  const isLeft = (text: string) => namesLoopback(rewriteAddresses(text, exported.id, known))
  const variables = Object.entries(containerEnvironment(exported)).flatMap(([name, value]) =>
    isLeft(value) ? [name] : [],
  )
  return containerCommand(exported).some(isLeft) ? ['its command', ...variables] : variables
}

/** The Secret that holds what must not be written down. */
function secretName({ id }: ExportedProcess): string {
  return `${id}-secrets`
}

import type { ResolvedConfig } from '../config/resolved.ts'
import {
  containerCommand,
  containerEnvironment,
  containerFolder,
  type ContainerOptions,
  imageNotes,
} from './container.ts'
import type { Export } from './export.ts'
import { type ExportedProcess, exportedProcesses } from './graph.ts'
import { addressesOf, type KnownAddress, portsOf, rewriteAddresses } from './kubernetes-addresses.ts'
import { kubernetesProbes } from './kubernetes-probes.ts'
import { secretName } from './kubernetes-secrets.ts'
import { waitContainers, waitPermissions } from './kubernetes-wait.ts'
import { kubernetesNotes } from './kubernetes-notes.ts'
import { noteLines } from './notes.ts'
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

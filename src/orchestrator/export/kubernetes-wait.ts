import type { DependencyCondition } from '../config/resolved.ts'
import type { ExportedProcess } from './graph.ts'
import type { YamlValue } from './yaml.ts'

type Manifest = Readonly<Record<string, YamlValue | undefined>>

/** Knows to wait until a field is there at all since 1.31. */
const kubectlImage = 'registry.k8s.io/kubectl:v1.33.1'

/** Containers that end, one after the other, when what a process depends on is as it has to be. */
export function waitContainers(
  { process }: ExportedProcess,
  processes: readonly ExportedProcess[],
): readonly Manifest[] {
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
export function waitPermissions(project: string): readonly Manifest[] {
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

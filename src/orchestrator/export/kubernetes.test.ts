import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  fileOf,
  loadDefaultGraph,
  loadGraph,
  type LoadedGraph,
  parseYamlDocuments,
} from '../../../test/rig/configuration/export.ts'
import { exportKubernetes } from './kubernetes.ts'

const containerForm = z.looseObject({ name: z.string(), image: z.string(), command: z.array(z.string()) })
const podForm = z.looseObject({
  terminationGracePeriodSeconds: z.int().min(0),
  serviceAccountName: z.string().optional(),
  initContainers: z.array(containerForm).optional(),
  containers: z.tuple([containerForm]),
})
const manifestForm = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.object({ name: z.string().regex(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/) }),
  spec: z.looseObject({ template: z.object({ spec: podForm }).optional() }).optional(),
})

function kubernetesOf({ config, options }: LoadedGraph) {
  const exported = exportKubernetes(config, options)
  const text = fileOf(exported, 'plant.yaml')
  const manifests = parseYamlDocuments(text).map((document) => manifestForm.parse(document))
  const find = (kind: string, name: string) => {
    const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name)
    if (found === undefined) throw new Error(`there is no ${kind} ${name}`)
    return found
  }
  const podOf = (kind: string, name: string) => {
    const pod = find(kind, name).spec?.template?.spec
    if (pod === undefined) throw new Error(`${name} has no pod`)
    return pod
  }
  return { manifests, text, notes: exported.notes, find, podOf }
}

const plain = { command: 'x' }

describe('export kubernetes (O-10)', () => {
  it('gives a container a terminal if its process has "tty"', () => {
    const { podOf } = kubernetesOf(loadGraph({ processes: { shell: { ...plain, tty: true }, web: plain } }))
    expect(podOf('Deployment', 'shell').containers[0]).toMatchObject({ tty: true, stdin: true })
    expect(podOf('Deployment', 'web').containers[0]).not.toHaveProperty('tty')
  })

  it('exports the default graph as Deployments and a Job that wait for their dependencies', () => {
    const { manifests, podOf } = kubernetesOf(loadDefaultGraph())
    const kinds = manifests.map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind === 'Deployment')).toHaveLength(9)
    expect(kinds.filter((kind) => kind === 'Job')).toHaveLength(1)
    expect(podOf('Deployment', 'api').initContainers?.map(({ command }) => command)).toEqual([
      ['kubectl', 'wait', '--for=condition=Available', 'deployment/postgres', '--timeout=-1s'],
      ['kubectl', 'wait', '--for=condition=Complete', 'job/migrate', '--timeout=-1s'],
    ])
  })

  it('exports equal replicas as one Deployment, for which a dependent waits once', () => {
    const web = { ...plain, depends_on: { worker: { condition: 'started' } } }
    const { find, podOf, manifests, notes } = kubernetesOf(
      loadGraph({ processes: { worker: { ...plain, replicas: 3 }, web } }),
    )
    expect(manifests.filter(({ kind }) => kind === 'Deployment')).toHaveLength(2)
    expect(find('Deployment', 'worker').spec).toMatchObject({ replicas: 3 })
    expect(podOf('Deployment', 'web').initContainers?.map(({ command }) => command)).toEqual([
      ['kubectl', 'wait', '--for=jsonpath={.status.replicas}=3', 'deployment/worker', '--timeout=-1s'],
    ])
    expect(notes).toContainEqual(
      expect.stringMatching(/^worker: its 3 replicas are equal, so PONIX_REPLICA is not set/),
    )
  })

  it('has probes of its own, which need no program in the image unless the URL is secret', () => {
    const note = 'a: its http_get is checked by curl or wget, one of which the image must contain'
    const notesWith = (url: string) =>
      kubernetesOf(loadGraph({ processes: { a: { ...plain, readiness_probe: { http_get: url } } } })).notes
    expect(notesWith('http://127.0.0.1:80/')).not.toContain(note)
    expect(notesWith('http://joe:hunter22@127.0.0.1:80/')).toContain(note)
  })

  it('replaces the address of a broker that is one of the processes by its name', () => {
    const { podOf, find } = kubernetesOf(loadDefaultGraph())
    expect(find('Service', 'mqtt').spec).toMatchObject({ ports: [{ port: 11_883 }] })
    const [demo] = podOf('Deployment', 'demo').containers
    expect(demo['env']).toContainEqual({ name: 'PONIX_DEMO_MQTT_URL', value: 'mqtt://mqtt:11883' })
  })

  it.each([
    ['service', 'started', '--for=jsonpath={.status.replicas}=1', 'deployment/a'],
    ['service', 'ready', '--for=condition=Available', 'deployment/a'],
    ['task', 'completed', '--for=jsonpath={.status.conditions}', 'job/a'],
    ['task', 'completed_successfully', '--for=condition=Complete', 'job/a'],
  ])('waits for a %s to be %s with %s', (kind, condition, wait, resource) => {
    const processes = { a: { ...plain, kind }, b: { ...plain, depends_on: { a: { condition } } } }
    const { podOf, manifests } = kubernetesOf(loadGraph({ processes }))
    const pod = podOf('Deployment', 'b')
    expect(pod.initContainers?.[0]?.command).toEqual(['kubectl', 'wait', wait, resource, '--timeout=-1s'])
    expect(pod.serviceAccountName).toBe('plant')
    expect(manifests.map((manifest) => manifest.kind)).toEqual(
      expect.arrayContaining(['ServiceAccount', 'Role', 'RoleBinding']),
    )
  })

  it('creates no permissions without dependencies', () => {
    const { manifests } = kubernetesOf(loadGraph({ processes: { a: plain } }))
    expect(manifests.map(({ kind }) => kind)).toEqual(['Deployment'])
  })

  it.each([
    [{}, { backoffLimit: 0 }, 'Never'],
    [{ policy: 'on_failure', max_attempts: 3 }, { backoffLimit: 3 }, 'OnFailure'],
    [{ policy: 'on_failure' }, { backoffLimit: 2_147_483_647 }, 'OnFailure'],
  ])('exports a task with restart %j', (restart, spec, restartPolicy) => {
    const { find, podOf } = kubernetesOf(loadGraph({ processes: { a: { ...plain, kind: 'task', restart } } }))
    expect(find('Job', 'a').spec).toMatchObject(spec)
    expect(podOf('Job', 'a')['restartPolicy']).toBe(restartPolicy)
  })

  it('exports probes in whole seconds, and the startup timeout as startup probe', () => {
    const readiness_probe = { http_get: 'http://127.0.0.1:8080/ready?x', initial_delay_ms: 100, success_threshold: 2 }
    const liveness_probe = { tcp_socket: 'localhost:8080', failure_threshold: 5 }
    const { podOf, find } = kubernetesOf(
      loadGraph({ processes: { a: { ...plain, readiness_probe, liveness_probe, startup_timeout_ms: 60_000 } } }),
    )
    const httpGet = { port: 8080, path: '/ready?x', scheme: 'HTTP' }
    expect(podOf('Deployment', 'a').containers[0]).toMatchObject({
      ports: [{ containerPort: 8080 }],
      startupProbe: { httpGet, initialDelaySeconds: 1, periodSeconds: 1, failureThreshold: 60 },
      readinessProbe: { httpGet, periodSeconds: 5, timeoutSeconds: 2, successThreshold: 2, failureThreshold: 3 },
      livenessProbe: { tcpSocket: { port: 8080 }, successThreshold: 1, failureThreshold: 5 },
    })
    expect(find('Service', 'a').spec).toMatchObject({ ports: [{ name: 'port-8080', port: 8080 }] })
  })

  it('replaces known addresses of this machine by names, and names the others in a note', () => {
    const processes = {
      db: { ...plain, readiness_probe: { tcp_socket: '127.0.0.1:5432' }, env: { OWN: '127.0.0.1:5432' } },
      web: { command: 'x', args: ['localhost:5432', '127.0.0.1:54321'], env: { OTHER: 'http://localhost:99/' } },
    }
    const { podOf, notes } = kubernetesOf(loadGraph({ processes }))
    expect(podOf('Deployment', 'web').containers[0].command).toEqual(['x', 'db:5432', '127.0.0.1:54321'])
    expect(podOf('Deployment', 'db').containers[0]['env']).toContainEqual({ name: 'OWN', value: '127.0.0.1:5432' })
    expect(notes).toContainEqual(
      expect.stringMatching(/^web: its command, OTHER.* contains an address of this machine/),
    )
  })

  it('exports timeout and signal of the stop; a dollar stays a dollar', () => {
    const a = { command: 'echo $(date)', shell: true, shutdown: { signal: 'SIGINT', timeout_ms: 1500 } }
    const pod = kubernetesOf(loadGraph({ processes: { a } })).podOf('Deployment', 'a')
    expect(pod.terminationGracePeriodSeconds).toBe(2)
    expect(pod.containers[0]).toMatchObject({
      command: ['/bin/sh', '-c', 'echo $$(date)'],
      lifecycle: { preStop: { exec: { command: ['/bin/sh', '-c', 'kill -INT 1; sleep 2'] } } },
    })
  })

  it('exports secrets of the whole file as one Secret (O-42)', () => {
    const processes = { a: { command: 'x', env: { API_TOKEN: 'own' } }, b: { command: 'x' } }
    const { podOf, notes } = kubernetesOf(loadGraph({ env: { API_TOKEN: 'hunter22' }, processes }))
    const reference = (name: string) => [{ name: 'API_TOKEN', valueFrom: { secretKeyRef: { name, key: 'API_TOKEN' } } }]
    expect(podOf('Deployment', 'a').containers[0]['env']).toEqual(reference('a-secrets'))
    expect(podOf('Deployment', 'b').containers[0]['env']).toEqual(reference('shared-secrets'))
    expect(notes).toContainEqual(expect.stringContaining('kubectl create secret generic shared-secrets'))
  })

  it('exports secrets as references, and notes say how to create them (O-42)', () => {
    const a = { command: 'x', args: ['--token', 'hunter22'], env: { DB_PASSWORD: 'hunter22' } }
    const { podOf, notes, text } = kubernetesOf(loadGraph({ processes: { a } }))
    expect(text).not.toContain('hunter22')
    const valueFrom = { secretKeyRef: { name: 'a-secrets', key: 'DB_PASSWORD' } }
    expect(podOf('Deployment', 'a').containers[0]['env']).toContainEqual({ name: 'DB_PASSWORD', valueFrom })
    expect(podOf('Deployment', 'a').containers[0].command).toEqual(['/bin/sh', '-c', 'exec x --token "$A_ARGUMENT_2"'])
    expect(notes).toContainEqual(expect.stringContaining('kubectl create secret generic a-secrets'))
  })
})

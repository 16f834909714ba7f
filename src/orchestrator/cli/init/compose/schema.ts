import { z } from 'zod'

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()])
const words = z.union([z.string(), z.array(scalar)]).nullish()
const texts = z.union([z.string(), z.array(z.string())])
const size = z.union([z.string(), z.number()])

/** The key `healthcheck` of a service. */
const healthcheckSchema = z.looseObject({
  test: texts.optional(),
  interval: z.string().optional(),
  timeout: z.string().optional(),
  retries: z.number().optional(),
  start_period: z.string().optional(),
  start_interval: z.string().optional(),
  disable: z.boolean().optional(),
})
export type Healthcheck = z.infer<typeof healthcheckSchema>

const watchRule = z.looseObject({ action: z.string(), path: z.string(), ignore: z.array(z.string()).optional() })

/** The key `develop` of a service. */
const developSchema = z.looseObject({ watch: z.array(watchRule).optional() })
export type Develop = z.infer<typeof developSchema>

const restartPolicySchema = z.looseObject({
  condition: z.string().optional(),
  delay: z.string().optional(),
  max_attempts: z.number().optional(),
  window: z.string().optional(),
})

/** The key `deploy` of a service. */
const deploySchema = z.looseObject({
  replicas: z.number().optional(),
  resources: z.looseObject({ limits: z.looseObject({ memory: size.optional() }).optional() }).optional(),
  restart_policy: restartPolicySchema.optional(),
})

const dependencySchema = z.looseObject({
  condition: z.string().optional(),
  restart: z.boolean().optional(),
  required: z.boolean().optional(),
})
export type ServiceDependency = z.infer<typeof dependencySchema>

const portSchema = z.looseObject({
  target: size.optional(),
  published: size.optional(),
  host_ip: z.string().optional(),
  protocol: z.string().optional(),
})

const mountSchema = z.looseObject({
  type: z.string().optional(),
  source: z.string().optional(),
  target: z.string(),
  read_only: z.boolean().optional(),
})

const buildSchema = z.looseObject({
  context: z.string().optional(),
  dockerfile: z.string().optional(),
  dockerfile_inline: z.string().optional(),
  target: z.string().optional(),
})

/** What a process needs. */
const processShape = {
  image: z.string().optional(),
  build: z.union([z.string(), buildSchema]).optional(),
  command: words,
  entrypoint: words,
  environment: z.union([z.record(z.string(), scalar), z.array(z.string())]).nullish(),
  env_file: z
    .union([
      z.string(),
      z.array(z.union([z.string(), z.looseObject({ path: z.string(), required: z.boolean().optional() })])),
    ])
    .optional(),
  depends_on: z.union([z.array(z.string()), z.record(z.string(), dependencySchema)]).optional(),
  healthcheck: healthcheckSchema.optional(),
  restart: z.union([z.string(), z.boolean()]).optional(),
  stop_signal: size.optional(),
  stop_grace_period: z.string().optional(),
  working_dir: z.string().optional(),
  deploy: deploySchema.optional(),
  mem_limit: size.optional(),
  tty: z.boolean().optional(),
  stdin_open: z.boolean().optional(),
  develop: developSchema.optional(),
  scale: z.number().optional(),
  profiles: z.array(z.string()).optional(),
  ports: z.array(z.union([size, portSchema])).optional(),
  container_name: z.string().optional(),
  // The supervisor reaps the orphans of every process.
  init: z.boolean().optional(),
}

/** What only a container needs. */
const containerShape = {
  expose: z.array(size).optional(),
  volumes: z.array(z.union([z.string(), mountSchema])).optional(),
  hostname: z.string().optional(),
  user: size.optional(),
  platform: z.string().optional(),
  shm_size: size.optional(),
  network_mode: z.string().optional(),
  privileged: z.boolean().optional(),
  read_only: z.boolean().optional(),
  cap_add: z.array(z.string()).optional(),
  cap_drop: z.array(z.string()).optional(),
  tmpfs: texts.optional(),
  secrets: z
    .array(z.union([z.string(), z.looseObject({ source: z.string(), target: z.string().optional() })]))
    .optional(),
}

export const serviceSchema = z.looseObject({ ...processShape, ...containerShape })
export type Service = z.infer<typeof serviceSchema>

/** The keys whose texts can have variables in the configuration file, too. */
export const textKeys: ReadonlySet<string> = new Set([
  'image',
  'build',
  'command',
  'entrypoint',
  'environment',
  'env_file',
  'working_dir',
  'ports',
  'container_name',
  ...Object.keys(containerShape),
])

/** The keys that are translated, or have a note of their own, by the path of their object. */
const usedKeys: ReadonlyMap<string, readonly string[]> = new Map([
  ['', Object.keys(processShape)],
  ['build', Object.keys(buildSchema.shape)],
  ['healthcheck', Object.keys(healthcheckSchema.shape)],
  ['deploy', ['replicas', 'resources', 'restart_policy']],
  ['deploy.resources', ['limits']],
  ['deploy.resources.limits', ['memory']],
  ['deploy.restart_policy', Object.keys(restartPolicySchema.shape)],
  ['develop', ['watch']],
])

/** Keys that make no difference outside of Compose, for a container that the docker command runs. */
const indifferentKeys = ['labels', 'logging', 'networks', 'pull_policy', 'links', 'deploy', 'develop', 'build']

/** Returns the paths of the keys of a service that a process cannot have. */
export function unusedKeys(value: object, path = ''): readonly string[] {
  const used = usedKeys.get(path) ?? []
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    const full = path === '' ? key : `${path}.${key}`
    if (key.startsWith('x-') || inner === undefined) return []
    if (!used.includes(key)) return [full]
    return usedKeys.has(full) && typeof inner === 'object' && inner !== null ? unusedKeys(inner, full) : []
  })
}

/** Returns the keys of a service for which the docker command has no translation. */
export function unusedContainerKeys(service: Service): readonly string[] {
  return Object.keys(service).filter(
    (key) => !key.startsWith('x-') && !(key in serviceSchema.shape) && !indifferentKeys.includes(key),
  )
}

export function replicasOf({ deploy, scale }: Service): number {
  return deploy?.replicas ?? scale ?? 1
}

/** Returns the entries of `environment`; a null is inherited. */
export function environmentOf({ environment }: Service): readonly (readonly [string, string | null])[] {
  if (!Array.isArray(environment)) {
    return Object.entries(environment ?? {}).map(([name, value]) => [name, value === null ? null : String(value)])
  }
  return environment.map(splitVariable)
}

/** Splits `NAME=value`; the value is null without `=`. */
export function splitVariable(entry: string): readonly [string, string | null] {
  const at = entry.indexOf('=')
  return at === -1 ? [entry, null] : [entry.slice(0, at), entry.slice(at + 1)]
}

/** Returns the entries of `depends_on` by the name of the service. */
export function dependenciesOf({ depends_on = [] }: Service): ReadonlyMap<string, ServiceDependency> {
  return Array.isArray(depends_on)
    ? new Map(depends_on.map((name): [string, ServiceDependency] => [name, {}]))
    : new Map(Object.entries(depends_on))
}

/** Returns the folder in which the image is built; null without one in the project. */
export function buildContext({ build }: Service): string | null {
  const context = typeof build === 'string' ? build : build === undefined ? undefined : (build.context ?? '.')
  return context === undefined || /^\w+(?::\/\/|@)/.test(context) ? null : context
}

import type { DraftProcess } from '../draft.ts'
import { wordsOf } from './command.ts'
import type { ServiceContext } from './context.ts'
import { isObject, type YamlObject } from './extends.ts'
import { environmentOf, replicasOf, type Service, unusedContainerKeys } from './schema.ts'
import type { PublishedPorts } from './ports.ts'

/** The name of the project, and the parts of the file that containers use. */
export interface ContainerProject {
  readonly name: string
  readonly volumes: YamlObject
  readonly secrets: YamlObject
}

/** Images of languages, in which a service runs a program of the project. */
const runtimeImage =
  /^(?:docker\.io\/)?(?:library\/|oven\/|denoland\/)?(?:node|bun|deno|python|ruby|golang|php|rust|elixir|openjdk|eclipse-temurin|amazoncorretto|maven|gradle)(?:[:@]|$)/

/** Returns whether a service runs a program of its image, such as a database, and not one of the project. */
export function runsImage({ image, build, command, entrypoint, working_dir, volumes = [] }: Service): boolean {
  if (image === undefined || build !== undefined) return false
  if (wordsOf(entrypoint).length + wordsOf(command).length === 0) return true
  const mountsProject = volumes.some((volume) =>
    typeof volume === 'string' ? /^(?:\.\/?|\$\{?PWD\}?\/?):/.test(volume) : /^\.\/?$/.test(volume.source ?? ''),
  )
  return !runtimeImage.test(image) && working_dir === undefined && !mountsProject
}

/** Returns the reason why `docker run` is not the same as the service; null if it is. */
export function containerObstacle(context: Omit<ServiceContext, 'note'>): string | null {
  const { name, service, hosts, project } = context
  const keys = unusedContainerKeys(service)
  if (keys.length > 0) return `docker run has no counterpart of ${keys.join(', ')}`
  if (replicasOf(service) > 1) return 'it has several replicas'
  if (/^(?:service|container):/.test(service.network_mode ?? '')) return 'it shares the network of another service'
  const missing = envFilesOf(service).find((path) => !project.has(context.variables.evaluate(path)))
  if (missing !== undefined) return `env_file ${missing} does not exist`
  const isHostKey = (key: string) => /host|server|addr|url|endpoint|broker/i.test(key)
  const named = [
    ...environmentOf(service).flatMap(([key, value]) =>
      hosts.mentioned(value ?? '').filter((other) => value !== other || isHostKey(key)),
    ),
    ...[...wordsOf(service.entrypoint), ...wordsOf(service.command)].flatMap((word) =>
      hosts.mentioned(word).filter((other) => word !== other),
    ),
  ].filter((other) => other !== name)
  return named.length === 0 ? null : `it reaches ${[...new Set(named)].join(', ')} by name, as only Compose allows`
}

function envFilesOf({ env_file: files = [] }: Service): readonly string[] {
  return [files].flat().map((file) => (typeof file === 'string' ? file : file.path))
}

/** Returns the name of the container, by which commands such as `docker exec` find it. */
export function containerName({ name, service, variables }: Omit<ServiceContext, 'note'>, project: string): string {
  return service.container_name === undefined ? `${project}-${name}` : variables.forFile(service.container_name)
}

interface ContainerOptions {
  readonly name: string
  readonly project: ContainerProject
  readonly ports: readonly PublishedPorts[]
}

/** Variables of the docker command itself, which the container must not change. */
const clientVariable = /^(?:PATH|HOME|DOCKER_\w+)$/

/**
 * Returns the process that runs the container in the foreground. The values of variables are in the environment of the process, so
 * that its command line shows no secrets.
 */
export function containerCommand(context: ServiceContext, { name, project, ports }: ContainerOptions): DraftProcess {
  const { service, variables, hosts } = context
  const text = (value: string | number) => variables.forFile(String(value))
  const published = ports.filter(({ mappings }) => !mappings.some((mapping) => mapping.published === null))
  const listed = [...published.map((port) => port.text), ...hosts.addedPorts(context.name)]
  const [entrypoint, ...entrypointArgs] = wordsOf(service.entrypoint)
  for (const [key, value] of environmentOf(service)) if (value === null) variables.use(key)
  const environment = environmentOf(service).map(([key, value]) => [key, value === null ? null : text(value)] as const)
  const own = environment.filter(([key]) => clientVariable.test(key)).map(([key, value]) => `${key}=${value ?? ''}`)
  const env = environment.flatMap(([key, value]) => (value === null || clientVariable.test(key) ? [] : [[key, value]]))
  const args = [
    'run',
    '--rm',
    '--name',
    name,
    ...optionsOf(service).map(text),
    ...listed.flatMap((port) => ['-p', port]),
    ...mountsOf(context, project).flatMap((mount) => ['-v', mount]),
    ...variableNames(context).flatMap((key) => ['-e', key]),
    ...own.flatMap((entry) => ['-e', entry]),
    ...(entrypoint === undefined ? [] : ['--entrypoint', text(entrypoint)]),
    text(service.image ?? ''),
    ...[...entrypointArgs, ...wordsOf(service.command)].map(text),
  ]
  return { command: 'docker', args, ...(env.length === 0 ? {} : { env: Object.fromEntries(env) }) }
}

/** Returns the names of the variables that the container gets from the environment of the docker command. */
function variableNames({ service, project, variables }: ServiceContext): readonly string[] {
  const files = envFilesOf(service).map((path) => project.readEnv(variables.evaluate(path)) ?? {})
  const names = [...files.flatMap(Object.keys), ...environmentOf(service).map(([key]) => key)]
  return [...new Set(names)].filter((key) => !clientVariable.test(key))
}

function optionsOf(service: Service): readonly (string | number)[] {
  const memory = service.mem_limit ?? service.deploy?.resources?.limits?.memory
  const values: readonly (readonly [string, string | number | undefined])[] = [
    ['--hostname', service.hostname],
    ['--user', service.user],
    ['--workdir', service.working_dir],
    ['--platform', service.platform],
    ['--network', service.network_mode],
    ['--shm-size', service.shm_size],
    ['--memory', memory],
  ]
  const lists: readonly (readonly [string, readonly string[]])[] = [
    ['--cap-add', service.cap_add ?? []],
    ['--cap-drop', service.cap_drop ?? []],
    ['--tmpfs', [service.tmpfs ?? []].flat()],
  ]
  return [
    ...(service.init === true ? ['--init'] : []),
    ...(service.privileged === true ? ['--privileged'] : []),
    ...(service.read_only === true ? ['--read-only'] : []),
    ...values.flatMap(([flag, value]) => (value === undefined ? [] : [flag, value])),
    ...lists.flatMap(([flag, items]) => items.flatMap((item) => [flag, item])),
  ]
}

/** Returns volumes and secrets in the form of `-v`. A named volume has the name that Compose gave it, and so its data. */
function mountsOf({ service, variables, note }: ServiceContext, project: ContainerProject): readonly string[] {
  const volumes = (service.volumes ?? []).flatMap((volume) => {
    if (typeof volume === 'string') {
      const [, source, rest] = /^([A-Za-z0-9][\w.-]*)(:.+)$/.exec(volume) ?? []
      if (source !== undefined && rest !== undefined) return [volumeName(source, project) + rest]
      return [volume]
    }
    const { type = 'volume', source, target, read_only: isReadOnly } = volume
    if (type !== 'volume' && type !== 'bind') {
      note(`volume ${target} of the type ${type} left out`)
      return []
    }
    const from = source === undefined ? '' : `${type === 'volume' ? volumeName(source, project) : source}:`
    return [`${from}${target}${isReadOnly === true ? ':ro' : ''}`]
  })
  const secrets = (service.secrets ?? []).flatMap((secret) => {
    const { source, target = source } = typeof secret === 'string' ? { source: secret } : secret
    const definition = project.secrets[source]
    const file = isObject(definition) ? definition['file'] : undefined
    if (typeof file !== 'string') note(`secret ${source} left out, because it is not in a file`)
    const path = String(file).replace(/^(?![./])/, './')
    return typeof file === 'string' ? [`${path}:${target.startsWith('/') ? '' : '/run/secrets/'}${target}:ro`] : []
  })
  return [...volumes, ...secrets].map((mount) => variables.forFile(mount).replace(/^~(?=\/)/, '${HOME}'))
}

function volumeName(key: string, { name: project, volumes }: ContainerProject): string {
  const definition = volumes[key]
  const { name, external } = isObject(definition) ? definition : {}
  if (typeof name === 'string') return name
  return external === true ? key : `${project}_${key}`
}

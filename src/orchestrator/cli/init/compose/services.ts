import { type Draft, type DraftProcess, freeName, type ProjectFolder } from '../draft.ts'
import { redact } from '../../../config/redact.ts'
import type { Variables } from '../../../config/variables.ts'
import { wordsOf } from './command.ts'
import { containerName, containerObstacle, type ContainerProject, runsImage } from './container.ts'
import type { ServiceContext } from './context.ts'
import { commandOfDockerfile, type ImageCommand } from './dockerfile.ts'
import { extendService, isObject, type YamlObject } from './extends.ts'
import { type HostService, ServiceHosts } from './hosts.ts'
import { type PublishedPorts, portsOf, serverPort } from './ports.ts'
import { containerProcess, localProcess } from './process.ts'
import { buildContext, dependenciesOf, replicasOf, type Service, serviceSchema, textKeys } from './schema.ts'
import { type ComposeVariables, hasVariables } from './variables.ts'

interface ServiceSetOptions {
  readonly project: ProjectFolder
  readonly variables: ComposeVariables
  readonly containers: ContainerProject
  /** Returns the services of another file; null if it does not exist. */
  readonly servicesOf: (path: string) => YamlObject | null
}

/** What becomes of a service. */
type Plan =
  | { readonly place: 'process'; readonly words: readonly string[] }
  | { readonly place: 'container' }
  | { readonly place: 'compose'; readonly reason: string }

/** The services of one Compose file. */
export class ServiceSet {
  readonly #options: ServiceSetOptions
  readonly #services: ReadonlyMap<string, Service>
  readonly #ports: ReadonlyMap<string, readonly PublishedPorts[]>
  readonly #plans: ReadonlyMap<string, Plan>
  readonly #hosts: ServiceHosts
  readonly #notes: string[] = []

  constructor(services: YamlObject, options: ServiceSetOptions) {
    this.#options = options
    this.#services = new Map(Object.keys(services).flatMap((name) => this.#read(name, services)))
    this.#ports = new Map(Array.from(this.#services, ([name, service]) => [name, portsOf(service, options.variables)]))
    const everywhere = this.#hostsWith(() => 'compose')
    this.#plans = new Map(Array.from(this.#services.keys(), (name) => [name, this.#plan(name, everywhere)]))
    this.#hosts = this.#hostsWith((name) => this.#planOf(name).place)
  }

  get hasContainers(): boolean {
    return [...this.#plans.values()].some(({ place }) => place === 'container')
  }

  draft(): Pick<Draft, 'processes' | 'notes'> {
    const names = new Map<string, string>()
    for (const [name, plan] of this.#plans) {
      if (plan.place === 'compose') this.#note(name, plan.reason)
      else names.set(name, freeName(name, new Map(Array.from(names.values(), (taken) => [taken, taken]))))
    }
    const tasks = this.#tasks()
    const drafts = new Map<string, DraftProcess>()
    // Containers come last, because they publish the ports that processes use.
    const inOrder = [...names.keys()].toSorted((a, b) => Number(this.#isContainer(a)) - Number(this.#isContainer(b)))
    for (const name of inOrder) drafts.set(name, this.#process(name, { names, isTask: tasks.has(name) }))
    const processes = Array.from(names, ([name, process]): [string, DraftProcess] => {
      return [process, drafts.get(name) ?? { command: '' }]
    })
    return { processes: new Map(processes), notes: [...this.#notes, ...this.#dockerNotes()] }
  }

  /** Returns notes about variables that the file uses and that name a service. The values are not shown. */
  notesOnValues(variables: Variables, file: string): readonly string[] {
    const { used } = this.#options.variables
    return Object.entries(variables).flatMap(([name, value]) =>
      used.has(name)
        ? this.#hosts.mentioned(value).map((host) => `${name} in ${file}: ${this.#hosts.advice(host)}`)
        : [],
    )
  }

  #note(service: string, text: string): void {
    this.#notes.push(`${service}: ${text}`)
  }

  #read(name: string, services: YamlObject): readonly (readonly [string, Service])[] {
    const note = (text: string) => this.#note(name, text)
    const { servicesOf, variables } = this.#options
    const extended = extendService(name, { file: '', services }, { servicesOf, note })
    const parsed = serviceSchema.safeParse(evaluateService(extended, variables, note))
    if (parsed.success) return [[name, parsed.data]]
    const [issue] = parsed.error.issues
    note(`not taken over, because "${issue?.path.join('.')}" has an unknown form`)
    return []
  }

  #hostsWith(placeOf: (name: string) => HostService['place']): ServiceHosts {
    const described = Array.from(this.#services, ([name, service]): [string, HostService] => {
      const aliases = service.container_name === undefined ? [] : [service.container_name]
      return [
        name,
        {
          aliases,
          place: placeOf(name),
          replicas: replicasOf(service),
          ports: this.#portsOf(name),
          port: serverPort(service),
        },
      ]
    })
    return new ServiceHosts(new Map(described))
  }

  #portsOf(name: string): readonly PublishedPorts[] {
    return this.#ports.get(name) ?? []
  }

  #planOf(name: string): Plan {
    return this.#plans.get(name) ?? { place: 'process', words: [] }
  }

  #isContainer(name: string): boolean {
    return this.#planOf(name).place === 'container'
  }

  #context(name: string, hosts: ServiceHosts): ServiceContext {
    const { project, variables } = this.#options
    const service = this.#services.get(name) ?? serviceSchema.parse({})
    return { name, service, project, variables, hosts, note: (text) => this.#note(name, text) }
  }

  #plan(name: string, hosts: ServiceHosts): Plan {
    const context = this.#context(name, hosts)
    const { service } = context
    const keep = `keep it in Compose: docker compose up -d ${name}`
    if (runsImage(service)) {
      const obstacle = containerObstacle(context)
      if (obstacle === null) return { place: 'container' }
      return { place: 'compose', reason: `left out, because ${obstacle}; ${keep}` }
    }
    const words = this.#words(context)
    if (words === null) {
      const reason = 'left out, because its command is in the Dockerfile'
      return { place: 'compose', reason: `${reason}; add it as "command", or ${keep}` }
    }
    if (words[0]?.startsWith('-') === true) {
      const reason = `left out, because its program, to which ${words[0]} belongs, is in its image`
      return { place: 'compose', reason: `${reason}; add it as "command", or ${keep}` }
    }
    return { place: 'process', words }
  }

  /** Returns the command of a service, with that of the Dockerfile if its own is not complete; null if that is not known. */
  #words(context: ServiceContext): readonly string[] | null {
    const { service, project, note } = context
    const entrypoint = wordsOf(service.entrypoint)
    const command = wordsOf(service.command)
    const own = [...entrypoint, ...command]
    const isOption = own[0]?.startsWith('-') === true
    if (own.length > 0 && !isOption) return own
    const found = this.#dockerfile(context)
    const words = [...(found?.image.entrypoint ?? []), ...(own.length > 0 ? [] : (found?.image.command ?? []))]
    const [program = ''] = words
    const isElsewhere = program === '' || (program.startsWith('/') && !project.has(program))
    if (found === null || isElsewhere) return isOption ? own : null
    note(`its ${isOption ? 'program' : 'command'} is that of ${found.path}`)
    // The text of a Dockerfile has no variables of Compose.
    return [...words.map((word) => word.replaceAll('$', '$$$$')), ...own]
  }

  #dockerfile({ service, project }: ServiceContext): { readonly path: string; readonly image: ImageCommand } | null {
    const folder = buildContext(service)
    const {
      dockerfile = 'Dockerfile',
      dockerfile_inline: inline,
      target,
    } = typeof service.build === 'object' ? service.build : {}
    const path = inline === undefined ? `${folder}/${dockerfile}` : 'dockerfile_inline'
    if (folder === null || (inline === undefined && !project.has(path))) return null
    return { path, image: commandOfDockerfile(inline ?? project.read(path), target) }
  }

  #process(name: string, { names, isTask }: { readonly names: ReadonlyMap<string, string>; readonly isTask: boolean }) {
    const context = this.#context(name, this.#hosts)
    const options = { names, isTask, ports: this.#portsOf(name) }
    const plan = this.#planOf(name)
    if (plan.place === 'process') return localProcess(context, options, plan.words)
    const { containers: project } = this.#options
    return containerProcess(context, options, { name: containerName(context, project.name), project })
  }

  /** Returns the services that others wait for until they have completed. */
  #tasks(): ReadonlySet<string> {
    return new Set(
      Array.from(this.#services.values()).flatMap((service) =>
        Array.from(dependenciesOf(service)).flatMap(([name, { condition }]) =>
          condition === 'service_completed_successfully' ? [name] : [],
        ),
      ),
    )
  }

  #dockerNotes(): readonly string[] {
    const containers = [...this.#plans.keys()].filter((name) => this.#isContainer(name))
    const added = containers.flatMap((name) =>
      this.#hosts.addedPorts(name).map((port) => `${name}: publishes ${port}, because processes use this port`),
    )
    if (containers.length === 0) return []
    const verb = containers.length === 1 ? 'runs as a container of its image' : 'run as containers of their images'
    return [...added, `${containers.join(', ')}: ${verb} with "docker run", which needs Docker on this machine`]
  }
}

/** Replaces the variables in keys that cannot have variables in the configuration file. */
function evaluateService(service: YamlObject, variables: ComposeVariables, note: (text: string) => void): YamlObject {
  const evaluate = (value: unknown, path: string): unknown => {
    if (Array.isArray(value)) return value.map((item) => evaluate(item, path))
    if (isObject(value)) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, evaluate(item, `${path}.${key}`)]))
    }
    if (typeof value !== 'string' || !hasVariables(value) || path === 'healthcheck.test') return value
    const result = variables.evaluate(value)
    note(redact(`${path}: ${value} became ${JSON.stringify(result)}, because this key cannot have variables`))
    return typed(result)
  }
  return Object.fromEntries(
    Object.entries(service).map(([key, value]) => {
      return [key, textKeys.has(key) || !(key in serviceSchema.shape) ? value : evaluate(value, key)]
    }),
  )
}

/** Converts a text to a number or a boolean if it is one, as Compose does after it has replaced variables. */
function typed(text: string): string | number | boolean {
  if (/^\d{1,15}(?:\.\d+)?$/.test(text)) return Number(text)
  return text === 'true' ? true : text === 'false' ? false : text
}

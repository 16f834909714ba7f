import { z } from 'zod'
import { variablesForFile, variablesForShell } from './compose-variables.ts'
import { commandOf, type Draft, type DraftProcess, type EnvFile, freeName } from './draft.ts'
import { deploySchema, developSchema, limitSchema, memoryLimit, watchOf } from './compose-runtime.ts'
import { healthcheckSchema, probeOf } from './compose-healthcheck.ts'
import { messageOf, UserError } from '../../config/errors.ts'
import { parseDuration } from '../../config/duration.ts'
import { processSchema } from '../../config/schema/process.ts'

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()])
const words = z.union([z.string(), z.array(scalar)]).nullish()
const conditionSchema = z.looseObject({ condition: z.string().optional(), restart: z.boolean().optional() })

const serviceSchema = z.looseObject({
  image: z.string().optional(),
  build: z.union([z.string(), z.looseObject({ context: z.string().optional() })]).optional(),
  command: words,
  entrypoint: words,
  environment: z.union([z.record(z.string(), scalar), z.array(z.string())]).optional(),
  env_file: z
    .union([
      z.string(),
      z.array(z.union([z.string(), z.looseObject({ path: z.string(), required: z.boolean().optional() })])),
    ])
    .optional(),
  depends_on: z.union([z.array(z.string()), z.record(z.string(), conditionSchema)]).optional(),
  healthcheck: healthcheckSchema.optional(),
  restart: z.union([z.string(), z.boolean()]).optional(),
  stop_signal: z.union([z.string(), z.number()]).optional(),
  stop_grace_period: z.string().optional(),
  working_dir: z.string().optional(),
  deploy: deploySchema.optional(),
  mem_limit: limitSchema.optional(),
  tty: z.boolean().optional(),
  stdin_open: z.boolean().optional(),
  develop: developSchema.optional(),
  scale: z.number().optional(),
  profiles: z.array(z.string()).optional(),
  ports: z.array(z.union([z.string(), z.number(), z.looseObject({ target: z.number().optional() })])).optional(),
})
type Service = z.infer<typeof serviceSchema>

const composeSchema = z.looseObject({ services: z.record(z.string(), z.unknown()) })
/** Keys beside `services` that need no note: the orchestrator names a run after its file, and `version` is obsolete. */
const silentKeys = ['services', 'name', 'version']

/** Reads a Compose file. `hasFile` tells whether a path relative to it exists. Throws a UserError if it is not one. */
export async function draftFromCompose(text: string, file: string, hasFile: (path: string) => boolean): Promise<Draft> {
  const { services, ...others } = await readCompose(text, file)
  const { processes, notes } = new ComposeReader(services, hasFile).draft()
  const rest = Object.keys(others).filter((key) => !silentKeys.includes(key) && !key.startsWith('x-'))
  return { processes, notes: rest.length === 0 ? notes : [...notes, `not taken over: ${rest.join(', ')}`] }
}

async function readCompose(text: string, file: string): Promise<z.infer<typeof composeSchema>> {
  const { parse } = await import('yaml')
  try {
    return composeSchema.parse(parse(text, { merge: true }))
  } catch (error) {
    const reason = error instanceof z.ZodError ? 'it has no "services"' : messageOf(error)
    throw new UserError(`${file} is not a Compose file: ${reason}`, 2, { cause: error })
  }
}

class ComposeReader {
  readonly #services: ReadonlyMap<string, Service>
  readonly #hasFile: (path: string) => boolean
  readonly #notes: string[] = []
  /** The names of the processes by the names of their services. */
  readonly #names = new Map<string, string>()

  constructor(services: Readonly<Record<string, unknown>>, hasFile: (path: string) => boolean) {
    this.#hasFile = hasFile
    this.#services = new Map(
      Object.entries(services).flatMap(([name, value]) => {
        const parsed = serviceSchema.safeParse(value ?? {})
        if (parsed.success) return [[name, parsed.data] as const]
        const [issue] = parsed.error.issues
        this.#note(name, `not taken over, because "${issue?.path.join('.')}" has an unknown form`)
        return []
      }),
    )
  }

  draft(): Draft {
    for (const [name, service] of this.#services) {
      if (isRunnable(service))
        this.#names.set(name, freeName(name, new Map(Array.from(this.#names.values(), (n) => [n, n]))))
      else this.#note(name, describeContainer(service))
    }
    const tasks = this.#tasks()
    const processes = new Map<string, DraftProcess>()
    for (const [service, name] of this.#names) processes.set(name, this.#process(service, tasks.has(service)))
    return { processes, notes: this.#notes }
  }

  #note(service: string, text: string): void {
    this.#notes.push(`${service}: ${text}`)
  }

  /** Returns the services that others wait for until they have completed. */
  #tasks(): ReadonlySet<string> {
    const dependencies = Array.from(this.#services.values(), ({ depends_on = [] }) => depends_on)
    return new Set(
      dependencies.flatMap((listed) =>
        Array.isArray(listed)
          ? []
          : Object.entries(listed).flatMap(([name, { condition }]) =>
              condition === 'service_completed_successfully' ? [name] : [],
            ),
      ),
    )
  }

  #process(name: string, isTask: boolean): DraftProcess {
    const service = this.#services.get(name) ?? serviceSchema.parse({})
    const process = {
      ...commandOfService(service),
      ...(isTask ? { kind: 'task' } : {}),
      ...this.#folder(name, service),
      ...this.#environment(name, service),
      ...this.#dependencies(name, service),
      ...(isTask ? {} : this.#readiness(name, service)),
      ...(isTask ? {} : restartOf(service)),
      ...this.#shutdown(name, service),
      ...this.#replicas(service),
      ...this.#runtime(name, service),
      ...(service.profiles === undefined ? {} : { profiles: service.profiles }),
    }
    this.#noteRest(name, service)
    return process
  }

  #folder(name: string, { build, working_dir: folder }: Service): object {
    if (folder !== undefined && !folder.startsWith('/')) return { cwd: folder }
    const context = typeof build === 'string' ? build : build?.context
    if (folder !== undefined) {
      this.#note(name, `working_dir ${folder} is a folder of the container; set "cwd" if ${context ?? '.'} is wrong`)
    }
    return context === undefined || /^\.?\/?$/.test(context) || /^\w+:/.test(context) ? {} : { cwd: context }
  }

  #environment(name: string, { environment = {}, env_file = [] }: Service): object {
    const listed = Array.isArray(environment) ? environment.map(splitVariable) : Object.entries(environment)
    // A variable without a value is inherited, as all variables are.
    const given = listed.filter((entry) => entry[1] !== null && entry[1] !== undefined)
    const env = Object.fromEntries(given.map(([key, value]) => [key, variablesForFile(String(value))]))
    const files = [env_file].flat().flatMap((file): EnvFile[] => {
      const { path, required = true } = typeof file === 'string' ? { path: file } : file
      if (!required) return [{ path, required: false }]
      if (this.#hasFile(path)) return [path]
      this.#note(name, `env_file ${path} does not exist; it is optional now`)
      return [{ path, required: false }]
    })
    return {
      ...(files.length === 0 ? {} : { env_file: files.length === 1 ? files[0] : files }),
      ...(Object.keys(env).length === 0 ? {} : { env }),
    }
  }

  #dependencies(name: string, { depends_on = [] }: Service): object {
    const listed = Array.isArray(depends_on)
      ? depends_on.map((to) => ({ to, condition: undefined }))
      : Object.entries(depends_on).map(([to, { condition }]) => ({ to, condition }))
    const kept = listed.flatMap(({ to, condition }) => {
      const process = this.#names.get(to)
      if (process === undefined) this.#note(name, `depends_on ${to} left out, because ${to} was not taken over`)
      return process === undefined ? [] : [[process, conditions.get(condition ?? '') ?? null] as const]
    })
    const isRestarted = Object.values(depends_on).some((to) => typeof to === 'object' && to.restart === true)
    const follows = isRestarted ? { on_dependency_restart: 'restart' } : {}
    if (kept.length === 0) return {}
    if (kept.every(([, condition]) => condition === null)) return { depends_on: kept.map(([to]) => to), ...follows }
    return {
      depends_on: Object.fromEntries(kept.map(([to, condition]) => [to, { condition: condition ?? 'started' }])),
      ...follows,
    }
  }

  #readiness(name: string, service: Service): object {
    const { healthcheck } = service
    if (healthcheck === undefined) return {}
    const { probe, notes } = probeOf(healthcheck)
    for (const note of notes) this.#note(name, note)
    if (probe === null) return {}
    if ('http_get' in probe && replicasOf(service) > 1) {
      const advice = 'give each its own port, such as 300${PONIX_REPLICA}, in "env" and in a "readiness_probe"'
      this.#note(
        name,
        `healthcheck left out, because all replicas would have the address ${String(probe['http_get'])}; ${advice}`,
      )
      return {}
    }
    return { readiness_probe: probe }
  }

  #shutdown(name: string, { stop_signal: signal, stop_grace_period: period }: Service): object {
    const timeout = period === undefined ? null : parseDuration(period)
    const wanted = signal === undefined ? undefined : String(signal).replace(/^(?!SIG|\d)/, 'SIG')
    const isKnown = processSchema.safeParse({ command: 'x', shutdown: { signal: wanted } }).success
    if (!isKnown) this.#note(name, `stop_signal ${signal} is not supported; set "shutdown": {"signal": …}`)
    const shutdown = {
      ...(isKnown && wanted !== undefined ? { signal: wanted } : {}),
      ...(timeout === null ? {} : { timeout_ms: timeout }),
    }
    return Object.keys(shutdown).length === 0 ? {} : { shutdown }
  }

  #replicas(service: Service): object {
    const replicas = replicasOf(service)
    return replicas <= 1 ? {} : { replicas }
  }

  #runtime(name: string, { tty, stdin_open, mem_limit, deploy, develop = {} }: Service): object {
    const size = mem_limit ?? deploy?.resources?.limits?.memory
    const limit = size === undefined ? null : memoryLimit(size)
    if (size !== undefined && limit === null) this.#note(name, `memory limit ${size} is not a size; set "memory_limit"`)
    if (stdin_open === true && tty !== true)
      this.#note(name, 'stdin_open left out; "tty": true gives a terminal to type into')
    const { watch, notes } = watchOf(develop)
    for (const note of notes) this.#note(name, note)
    return {
      ...(tty === true ? { tty } : {}),
      ...(limit === null ? {} : { memory_limit: limit }),
      ...(watch === null ? {} : { watch }),
    }
  }

  #noteRest(name: string, service: Service): void {
    const { ports = [], image } = service
    if (ports.length > 0) {
      const shown = ports
        .map((port) => (typeof port === 'object' ? (port.target ?? 'of the container') : port))
        .join(', ')
      this.#note(name, `ports ${shown}: the process itself must listen on the port`)
    }
    if (image !== undefined) this.#note(name, `image ${image} is not used; its programs must be installed here`)
    const rest = unusedKeys(service)
    if (rest.length > 0) this.#note(name, `not taken over: ${rest.join(', ')}`)
  }
}

function replicasOf({ deploy, scale }: Service): number {
  return deploy?.replicas ?? scale ?? 1
}

/** The keys that are translated, or have a note of their own, by the path of their object. */
const usedKeys: ReadonlyMap<string, readonly string[]> = new Map([
  ['', Object.keys(serviceSchema.shape)],
  ['build', ['context']],
  ['healthcheck', Object.keys(healthcheckSchema.shape)],
  ['deploy', ['replicas', 'resources']],
  ['deploy.resources', ['limits']],
  ['deploy.resources.limits', ['memory']],
  ['develop', ['watch']],
])

/** Returns the paths of all other keys of a service. */
function unusedKeys(value: object, path = ''): readonly string[] {
  const used = usedKeys.get(path) ?? []
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    const full = path === '' ? key : `${path}.${key}`
    if (key.startsWith('x-')) return []
    if (!used.includes(key)) return [full]
    return usedKeys.has(full) && typeof inner === 'object' && inner !== null ? unusedKeys(inner, full) : []
  })
}

const conditions = new Map([
  ['service_started', 'started'],
  ['service_healthy', 'ready'],
  ['service_completed_successfully', 'completed_successfully'],
])

function isRunnable({ command, entrypoint }: Service): boolean {
  return [command, entrypoint].some((part) => part !== undefined && part !== null && part.length > 0)
}

function describeContainer({ image, build }: Service): string {
  if (image !== undefined && build === undefined) {
    return `left out, because image ${image} runs only in a container; add its program as "command", or keep it in Compose`
  }
  return 'left out, because its command is in the Dockerfile; add it as "command"'
}

function commandOfService({ command, entrypoint }: Service): DraftProcess {
  const parts = [entrypoint, command].flatMap((part) => (part === undefined || part === null ? [] : [part]))
  const lines = parts.filter((part) => typeof part === 'string')
  if (lines.length === parts.length) return commandOfLine(lines.join(' '))
  const [program = '', ...args] = parts.flatMap((part) => {
    if (typeof part !== 'string') return part.map((word) => variablesForFile(String(word)))
    const { command: first, args: others = [], shell } = commandOfLine(part)
    return shell === true ? ['/bin/sh', '-c', first] : [first, ...others]
  })
  return args.length === 0 ? { command: program } : { command: program, args }
}

function commandOfLine(line: string): DraftProcess {
  const { command, args, shell } = commandOf(line)
  if (shell === true) return { command: variablesForShell(command), shell }
  return args === undefined ? { command } : { command, args: args.map(variablesForFile) }
}

function splitVariable(text: string): readonly [string, string | null] {
  const at = text.indexOf('=')
  return at === -1 ? [text, null] : [text.slice(0, at), text.slice(at + 1)]
}

/** Compose leaves a service without `restart` stopped. Here it restarts after a failure, as is usual in development. */
function restartOf({ restart }: Service): object {
  if (restart === undefined) return { restart: { policy: 'on_failure' } }
  if (restart === 'no' || restart === false) return { restart: { policy: 'never' } }
  const [, limit] = /^on-failure(?::(\d+))?$/.exec(String(restart)) ?? []
  if (limit !== undefined) return { restart: { policy: 'on_failure', max_attempts: Number(limit) } }
  return String(restart).startsWith('on-failure') ? { restart: { policy: 'on_failure' } } : {}
}

import { tmpdir } from 'node:os'
import { Writable } from 'node:stream'
import { expect, onTestFinished } from 'vitest'
import type {
  ExternalDependency,
  ResolvedConfig,
  ResolvedProbe,
  ResolvedProcess,
} from '../../../src/orchestrator/config/resolved.ts'
import type { SupervisorEvent } from '../../../src/orchestrator/supervisor/events.ts'
import type { SupervisorOptions } from '../../../src/orchestrator/supervisor/supervisor-options.ts'
import { Supervisor } from '../../../src/orchestrator/supervisor/supervisor.ts'
import { ChildRig, type SteeredChild } from './steerable-child.ts'

type EventOf<T extends SupervisorEvent['type']> = Extract<SupervisorEvent, { type: T }>

/** A stream that records all written text. */
export class CapturedOutput extends Writable {
  #bytes: Buffer[] = []
  readonly #waiting = new Set<() => void>()

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#bytes.push(Buffer.from(chunk))
    for (const check of this.#waiting) check()
    callback()
  }

  get bytes(): Buffer {
    const all = Buffer.concat(this.#bytes)
    this.#bytes = [all]
    return all
  }

  get text(): string {
    return this.bytes.toString('utf8')
  }

  get lines(): string[] {
    const lines = this.text.split('\n')
    if (lines.at(-1) === '') lines.pop()
    return lines
  }

  /** Resolves when the text contains `part`. */
  async holds(part: string): Promise<void> {
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!this.text.includes(part)) return
        this.#waiting.delete(check)
        resolve()
      }
      this.#waiting.add(check)
      check()
    })
  }
}

export interface GraphOptions extends Partial<Omit<SupervisorOptions, 'onEvent' | 'output'>> {
  readonly stdout?: Writable
  readonly stderr?: Writable
  readonly external?: Partial<ExternalDependency>
}

/** A process with defaults for everything but name and command. Restarts have no backoff. */
export type ProcessSketch = Partial<Omit<ResolvedProcess, 'dependsOn' | 'restart' | 'shutdown'>> & {
  readonly name: string
  readonly command: string
  readonly dependsOn?: ResolvedProcess['dependsOn']
  readonly restart?: Partial<ResolvedProcess['restart']>
  readonly shutdown?: Partial<ResolvedProcess['shutdown']>
}

/** Returns the process of a sketch. */
export function resolvedProcess(sketch: ProcessSketch): ResolvedProcess {
  return {
    configName: sketch.name,
    kind: 'service',
    successExitCodes: [0],
    args: [],
    shell: false,
    tty: false,
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'] ?? '' },
    secretNames: [],
    dependsOn: [],
    usesExternal: false,
    readinessProbe: null,
    livenessProbe: null,
    startupTimeoutMs: 60_000,
    whenFailed: 'isolate',
    onDependencyRestart: 'ignore',
    watch: null,
    schedule: null,
    onFailed: null,
    memoryLimit: null,
    log: { file: null, quiet: false },
    profiles: [],
    leftOut: null,
    problem: null,
    ...sketch,
    restart: {
      policy: sketch.kind === 'task' ? 'never' : 'always',
      backoffMs: 0,
      maxBackoffMs: 0,
      jitter: 0,
      resetAfterMs: 30_000,
      maxAttempts: Infinity,
      startupAttempts: Infinity,
      windowMs: null,
      ...sketch.restart,
    },
    shutdown: { signal: 'SIGTERM', timeoutMs: 10_000, ...sketch.shutdown },
  }
}

/** Returns a dependency that must have started. */
export const started = (name: string) => ({ name, condition: 'started' }) as const

/** Returns a dependency that must be ready. */
export const ready = (name: string) => ({ name, condition: 'ready' }) as const

/** Makes a process restart with its dependencies. */
export const follows = { onDependencyRestart: 'restart' } as const

/** Returns a configuration of these processes. */
export function configOf(
  processes: readonly ProcessSketch[],
  external: Partial<ExternalDependency> = {},
): ResolvedConfig {
  return {
    control: null,
    path: '/graph.json',
    files: ['/graph.json'],
    processes: processes.map(resolvedProcess),
    external: { host: '127.0.0.1', port: 1, required: false, providedBy: null, ...external },
  }
}

/** Returns a probe with a period of 10 ms. */
export function probeOf(check: ResolvedProbe['check'], over: Partial<ResolvedProbe> = {}): ResolvedProbe {
  return {
    check,
    initialDelayMs: 0,
    periodMs: { beforeReady: 10, afterReady: 10 },
    timeoutMs: 2000,
    successThreshold: 1,
    failureThreshold: 1,
    ...over,
  }
}

/** A running supervisor with its recorded events and output. */
export class SupervisedGraph implements AsyncDisposable {
  readonly stdout: CapturedOutput
  readonly stderr: CapturedOutput
  readonly events: SupervisorEvent[] = []
  readonly supervisor: Supervisor
  readonly #taken = new Set<SupervisorEvent>()
  readonly #waiting = new Set<() => void>()
  readonly #ended: Promise<{ exitCode: number }>

  constructor(processes: readonly ProcessSketch[], options: GraphOptions = {}) {
    const { external, stdout, stderr, ...rest } = options
    this.stdout = new CapturedOutput()
    this.stderr = new CapturedOutput()
    this.supervisor = new Supervisor(configOf(processes, external), {
      logFormat: 'text',
      colour: { stdout: false, stderr: false },
      abortOnExit: false,
      exitCodeFrom: null,
      ...rest,
      output: { stdout: stdout ?? this.stdout, stderr: stderr ?? this.stderr },
      onEvent: (event) => this.receive(event),
    })
    this.#ended = this.supervisor.run()
  }

  /** Records an event. */
  protected receive(event: SupervisorEvent): void {
    this.events.push(event)
    for (const check of this.#waiting) check()
  }

  /** Resolves to the next event of this type and process that no earlier call returned. */
  async next<T extends SupervisorEvent['type']>(type: T, process?: string): Promise<EventOf<T>> {
    return new Promise((resolve) => {
      const check = () => {
        const found = this.events.find((event): event is EventOf<T> => this.#isNext(event, type, process))
        if (found === undefined) return
        this.#waiting.delete(check)
        this.#taken.add(found)
        resolve(found)
      }
      this.#waiting.add(check)
      check()
    })
  }

  /** Returns the events of these types in order, as `started a`, `exited a` … */
  eventSequence(...types: readonly SupervisorEvent['type'][]): string[] {
    return this.events
      .filter((event) => types.includes(event.type))
      .map((event) => `${event.type.replace('process_', '')} ${'process' in event ? event.process : ''}`.trim())
  }

  /** Stops the graph as Ctrl-C does; resolves at the end of the run. */
  async stop(): Promise<{ exitCode: number }> {
    this.supervisor.stop({ type: 'signal', signal: 'SIGINT' })
    return this.#ended
  }

  /** Resolves at the end of the run. */
  get ended(): Promise<{ exitCode: number }> {
    return this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.supervisor.kill()
    await this.#ended
    const errors = this.events.flatMap((event) => (event.type === 'internal_error' ? [event.message] : []))
    if (errors.length > 0) throw new Error(errors.join('\n'))
  }

  #isNext(event: SupervisorEvent, type: string, process: string | undefined): boolean {
    if (event.type !== type || this.#taken.has(event)) return false
    return process === undefined || ('process' in event && event.process === process)
  }
}

/**
 * Ends two children that ignore SIGTERM and report it: `first`, and then `second`. Rejects if `second` receives a signal while `first`
 * still runs.
 */
export async function endInOrder(first: SteeredChild, second: SteeredChild): Promise<void> {
  let isSignalled = false
  const signalled = second.nextSignal().then(() => (isSignalled = true))
  expect(await first.nextSignal()).toBe('SIGTERM')
  // The child answers in order, so it would have reported an earlier signal.
  await second.environment()
  expect(isSignalled).toBe(false)
  await first.exit(0)
  await signalled
  await second.exit(0)
}

/** Returns a rig of steerable children that ends with the test. */
export async function openRig(): Promise<ChildRig> {
  const rig = await ChildRig.open()
  onTestFinished(() => rig[Symbol.asyncDispose]())
  return rig
}

/** Starts a supervisor that runs these processes until the test ends. */
export function supervise(processes: readonly ProcessSketch[], options?: GraphOptions): SupervisedGraph {
  const graph = new SupervisedGraph(processes, options)
  onTestFinished(() => graph[Symbol.asyncDispose]())
  return graph
}

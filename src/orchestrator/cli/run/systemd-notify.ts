import type { SupervisorEvent } from '../../supervisor/events.ts'
import { LONGEST_TIMER_MS, waitAtMost } from '../../supervisor/timers.ts'

/** `systemd-notify` itself waits 5 seconds for the manager to read its message. */
const SEND_TIMEOUT_MS = 10_000
/** The maximum wait of `close`. */
const FLUSH_MS = 2000
/** The maximum number of names in the status of a graph that is not ready. */
const MAX_NAMES = 3

type Processes = () => readonly { readonly name: string; readonly readinessProbe: unknown }[]

export interface NotifierOptions {
  /** The orchestrator's environment: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID and PATH are read. */
  readonly environment: NodeJS.ProcessEnv
  /** The current processes of the graph. */
  readonly processes: Processes
  /** The pid of the orchestrator. */
  readonly pid: number
  /** Called at most once, for the first failed notification. */
  readonly warn: (message: string) => void
}

/**
 * Notifies systemd of the state of the graph: READY=1 when the whole graph is ready, STOPPING=1, RELOADING=1, STATUS=, and
 * WATCHDOG=1 at half of the watchdog's time. It runs `systemd-notify`, because Node cannot write to a datagram socket. Failures never
 * affect supervision.
 */
export class SystemdNotifier {
  readonly #options: NotifierOptions
  readonly #isEnabled: boolean
  readonly #status: GraphStatus
  readonly #watchdog: NodeJS.Timeout | null
  /** Messages to send, each a set of assignments. A new value replaces an older one of the last message, so the queue stays short. */
  readonly #queue: Map<string, string>[] = []
  #sentStatus = ''
  /** True after READY=1 and before STOPPING=1. Otherwise a reload is part of the start or of the stop. */
  #isUp = false
  #isReloading = false
  /** The reason why the last reload changed nothing; part of the status. */
  #problem: string | null = null
  #sending: Promise<void> | null = null
  #warned = false

  constructor(options: NotifierOptions) {
    const { environment, processes, pid } = options
    this.#options = options
    this.#isEnabled = (environment['NOTIFY_SOCKET'] ?? '') !== ''
    this.#status = new GraphStatus(processes)
    const periodMs = this.#isEnabled ? watchdogIntervalMs(environment, pid) : null
    this.#watchdog = periodMs === null ? null : setInterval(() => this.#enqueue({ WATCHDOG: '1' }), periodMs).unref()
  }

  readonly event = (event: SupervisorEvent): void => {
    if (!this.#isEnabled) return
    this.#status.apply(event)
    this.#enqueueStatus()
    if (event.type === 'all_ready') this.#enqueue({ READY: '1' })
    if (event.type === 'stopping') this.#enqueue({ STOPPING: '1' })
    if (event.type === 'all_ready' || event.type === 'stopping') this.#isUp = event.type === 'all_ready'
  }

  /** Reports that a reload begins; `systemctl reload` waits until `reloaded`. */
  readonly reloading = (): void => {
    if (!this.#isEnabled || !this.#isUp || this.#isReloading) return
    this.#isReloading = true
    // A RELOADING=1 that is still queued covers this reload.
    if (this.#queue.some((message) => message.has('RELOADING'))) return
    // On Linux hrtime is CLOCK_MONOTONIC, with which systemd distinguishes reloads.
    this.#enqueue({ RELOADING: '1', MONOTONIC_USEC: String(process.hrtime.bigint() / 1000n) })
  }

  /** Reports the end of a reload. `problem` is the reason why nothing has changed, or null. */
  readonly reloaded = (problem: string | null): void => {
    if (!this.#isEnabled) return
    this.#problem = problem
    this.#enqueueStatus()
    if (this.#isReloading && this.#isUp) this.#enqueue({ READY: '1' })
    this.#isReloading = false
  }

  /** Resolves when all queued notifications are sent, or after 2 seconds. */
  async close(): Promise<void> {
    if (this.#watchdog !== null) clearInterval(this.#watchdog)
    if (this.#sending !== null) await waitAtMost(FLUSH_MS, this.#sending)
  }

  #enqueueStatus(): void {
    const [problem] = this.#problem?.split('\n') ?? []
    const text = problem === undefined ? this.#status.text : `${this.#status.text}; reload rejected: ${problem}`
    if (text !== this.#sentStatus) this.#enqueue({ STATUS: text })
    this.#sentStatus = text
  }

  #enqueue(assignments: Readonly<Record<string, string>>): void {
    const last = this.#queue.at(-1)
    // systemd applies only one of READY=1 and RELOADING=1 in a message, so these need two.
    const isApart = last !== undefined && (last.has('RELOADING') ? 'READY' in assignments : 'RELOADING' in assignments)
    if (last === undefined || isApart) this.#queue.push(new Map(Object.entries(assignments)))
    else for (const [name, value] of Object.entries(assignments)) last.set(name, value)
    this.#sending ??= this.#sendQueue()
  }

  /** Sends one message at a time, to keep their order. */
  async #sendQueue(): Promise<void> {
    // Assignments of the same turn share a message.
    await Promise.resolve()
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      await this.#send(Array.from(next, ([name, value]) => `${name}=${value}`))
    }
    this.#sending = null
  }

  async #send(assignments: readonly string[]): Promise<void> {
    const { NOTIFY_SOCKET = '', PATH = '/usr/bin:/bin' } = this.#options.environment
    // Loaded on first use, so that an orchestrator without systemd starts faster.
    const { execa } = await import('execa')
    const result = await execa('systemd-notify', assignments, {
      env: { NOTIFY_SOCKET, PATH },
      extendEnv: false,
      stdin: 'ignore',
      timeout: SEND_TIMEOUT_MS,
      reject: false,
    })
    if (!result.failed || this.#warned) return
    this.#warned = true
    const reason = result.stderr === '' ? result.shortMessage : result.stderr
    this.#options.warn(`cannot notify systemd: ${reason ?? 'systemd-notify failed'}; continuing without notifications`)
  }
}

/** Returns half of the watchdog's time in milliseconds; null if this process has no watchdog. */
export function watchdogIntervalMs(environment: NodeJS.ProcessEnv, pid: number): number | null {
  const { WATCHDOG_USEC = '', WATCHDOG_PID = '' } = environment
  if (!/^\d+$/.test(WATCHDOG_USEC) || Number(WATCHDOG_USEC) === 0) return null
  if (WATCHDOG_PID !== '' && WATCHDOG_PID !== String(pid)) return null
  return Math.min(LONGEST_TIMER_MS, Math.max(1, Math.floor(Number(WATCHDOG_USEC) / 2000)))
}

/** The text of STATUS=, derived from events alone. */
export class GraphStatus {
  readonly #processes: Processes
  readonly #ready = new Set<string>()
  #wasReady = false
  #stopping = false
  /** The last report of a wait, until its cause changes. */
  #wait: { readonly cause: string | null; readonly text: string } | null = null

  constructor(processes: Processes) {
    this.#processes = processes
  }

  apply(event: SupervisorEvent): void {
    if (event.type === 'stopping') this.#stopping = true
    if (event.type === 'all_ready') this.#wasReady = true
    if (event.type === 'waiting') this.#wait = event
    if (event.type === 'all_ready' || event.type === 'stopping') this.#wait = null
    if (!('process' in event)) return
    const { type, process } = event
    if (this.#wait?.cause === process || this.#wait?.cause === null) this.#wait = null
    if (type === 'process_ready' || type === 'process_completed') this.#ready.add(process)
    if (type === 'process_started' && !this.#isProbed(process)) this.#ready.add(process)
    if (type === 'process_unhealthy' || type === 'process_exited' || type === 'process_stopped') {
      this.#ready.delete(process)
    }
  }

  /** `3 of 10 ready`, `ready`, `9 of 10 ready; not ready: store`, `stopping`; then what the graph waits for. */
  get text(): string {
    return this.#wait === null ? this.#counts : `${this.#counts}; ${this.#wait.text}`
  }

  get #counts(): string {
    if (this.#stopping) return 'stopping'
    const names = this.#processes().map(({ name }) => name)
    const missing = names.filter((name) => !this.#ready.has(name))
    if (missing.length === 0) return 'ready'
    const count = `${names.length - missing.length} of ${names.length} ready`
    if (!this.#wasReady) return count
    const more = missing.length > MAX_NAMES ? ', …' : ''
    return `${count}; not ready: ${missing.slice(0, MAX_NAMES).join(', ')}${more}`
  }

  #isProbed(process: string): boolean {
    return this.#processes().some(({ name, readinessProbe }) => name === process && readinessProbe !== null)
  }
}

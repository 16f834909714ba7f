import { execa } from 'execa'
import type { ResolvedProcess } from '../config/resolved.ts'
import type { SupervisorEvent } from '../supervisor/events.ts'
import { LONGEST_TIMER_MS, sleep } from '../supervisor/timers.ts'

/** `systemd-notify` itself waits 5 seconds for the manager to have read what it sent. */
const sayTimeoutMs = 10_000
/** The last word is waited for no longer than this. */
const flushMs = 2000

export interface NotifierOptions {
  /** The orchestrator's own: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID and PATH are looked at. */
  readonly environment: NodeJS.ProcessEnv
  /** Those that the graph has now. */
  readonly processes: () => readonly Pick<ResolvedProcess, 'name' | 'readinessProbe'>[]
  /** Of the orchestrator. */
  readonly pid: number
  /** Called once at most, however often systemd cannot be told. */
  readonly warn: (message: string) => void
}

/**
 * Tells systemd how the graph is (O-40): READY=1 when all of it is ready, STOPPING=1, STATUS=, and WATCHDOG=1 at half of the
 * time that the watchdog allows. Node cannot write to a datagram socket, the program `systemd-notify` can. Whatever goes
 * wrong with that is said once, and supervision goes on.
 */
export class SystemdNotifier {
  readonly #options: NotifierOptions
  readonly #isAsked: boolean
  readonly #status: GraphStatus
  readonly #watchdog: NodeJS.Timeout | null
  /** What is to be said, each at one time; of a name that is in the last already the new value counts, so this never grows. */
  readonly #queue: Map<string, string>[] = []
  #saidStatus = ''
  /** READY=1 was said, and no STOPPING=1: before and after that a reload is a part of the start, or of the stop. */
  #isUp = false
  #isReloading = false
  /** Why the last reload changed nothing; in the status from then on. */
  #problem: string | null = null
  #talking: Promise<void> | null = null
  #warned = false

  constructor(options: NotifierOptions) {
    const { environment, processes, pid } = options
    this.#options = options
    this.#isAsked = (environment['NOTIFY_SOCKET'] ?? '') !== ''
    this.#status = new GraphStatus(processes)
    const everyMs = this.#isAsked ? watchdogIntervalMs(environment, pid) : null
    this.#watchdog = everyMs === null ? null : setInterval(() => this.#say({ WATCHDOG: '1' }), everyMs).unref()
  }

  readonly event = (event: SupervisorEvent): void => {
    if (!this.#isAsked) return
    this.#status.apply(event)
    this.#sayStatus()
    if (event.type === 'all_ready') this.#say({ READY: '1' })
    if (event.type === 'stopping') this.#say({ STOPPING: '1' })
    if (event.type === 'all_ready' || event.type === 'stopping') this.#isUp = event.type === 'all_ready'
  }

  /** The file is read again: `systemctl reload` waits until that is over. */
  readonly reloading = (): void => {
    if (!this.#isAsked || !this.#isUp || this.#isReloading) return
    this.#isReloading = true
    // Still to be said: then it holds for this reload too.
    if (this.#queue.some((words) => words.has('RELOADING'))) return
    // On Linux this is CLOCK_MONOTONIC, by which systemd tells this reload from one before.
    this.#say({ RELOADING: '1', MONOTONIC_USEC: String(process.hrtime.bigint() / 1000n) })
  }

  /** That is over; `problem` says why nothing has changed, if that is so. */
  readonly reloaded = (problem: string | null): void => {
    if (!this.#isAsked) return
    this.#problem = problem
    this.#sayStatus()
    if (this.#isReloading && this.#isUp) this.#say({ READY: '1' })
    this.#isReloading = false
  }

  /** Resolves when the last word is said, or cannot be; never later than 2 seconds. Nothing is said afterwards. */
  async close(): Promise<void> {
    if (this.#watchdog !== null) clearInterval(this.#watchdog)
    if (this.#talking === null) return
    const over = new AbortController()
    const said = this.#talking.then(() => over.abort())
    await Promise.race([said, sleep(flushMs, over.signal)])
  }

  #sayStatus(): void {
    const [problem] = this.#problem?.split('\n') ?? []
    const text = problem === undefined ? this.#status.text : `${this.#status.text}; reload refused: ${problem}`
    if (text !== this.#saidStatus) this.#say({ STATUS: text })
    this.#saidStatus = text
  }

  #say(assignments: Readonly<Record<string, string>>): void {
    const last = this.#queue.at(-1)
    // Of what comes at one time systemd takes the last: READY=1 would hide RELOADING=1, or the other way round.
    const isApart = last !== undefined && (last.has('RELOADING') ? 'READY' in assignments : 'RELOADING' in assignments)
    if (last === undefined || isApart) this.#queue.push(new Map(Object.entries(assignments)))
    else for (const [name, value] of Object.entries(assignments)) last.set(name, value)
    this.#talking ??= this.#talk()
  }

  /** One after the other: systemd is to hear things in their order. */
  async #talk(): Promise<void> {
    // Whatever else the same moment brings goes with it.
    await Promise.resolve()
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      await this.#tell(Array.from(next, ([name, value]) => `${name}=${value}`))
    }
    this.#talking = null
  }

  async #tell(words: readonly string[]): Promise<void> {
    const { NOTIFY_SOCKET = '', PATH = '/usr/bin:/bin' } = this.#options.environment
    const result = await execa('systemd-notify', words, {
      env: { NOTIFY_SOCKET, PATH },
      extendEnv: false,
      stdin: 'ignore',
      timeout: sayTimeoutMs,
      reject: false,
    })
    if (!result.failed || this.#warned) return
    this.#warned = true
    const reason = result.stderr === '' ? result.shortMessage : result.stderr
    this.#options.warn(
      `systemd cannot be told how things are: ${reason ?? 'systemd-notify failed'}; going on without it`,
    )
  }
}

/** Half of what the watchdog allows, in milliseconds; null if none watches over this process. */
export function watchdogIntervalMs(environment: NodeJS.ProcessEnv, pid: number): number | null {
  const { WATCHDOG_USEC = '', WATCHDOG_PID = '' } = environment
  if (!/^\d+$/.test(WATCHDOG_USEC) || Number(WATCHDOG_USEC) === 0) return null
  if (WATCHDOG_PID !== '' && WATCHDOG_PID !== String(pid)) return null
  return Math.min(LONGEST_TIMER_MS, Math.max(1, Math.floor(Number(WATCHDOG_USEC) / 2000)))
}

/** How many names a line has room for. */
const shownNames = 3

type Processes = readonly { readonly name: string; readonly readinessProbe: unknown }[]

/** How far the graph is, in a few words; told by events alone. */
export class GraphStatus {
  readonly #processes: () => Processes
  readonly #ready = new Set<string>()
  #wasReady = false
  #stopping = false

  /** `processes`: those that the graph has now. */
  constructor(processes: () => Processes) {
    this.#processes = processes
  }

  apply(event: SupervisorEvent): void {
    if (event.type === 'stopping') this.#stopping = true
    if (event.type === 'all_ready') this.#wasReady = true
    if (!('process' in event)) return
    const { type, process } = event
    if (type === 'process_ready' || type === 'process_completed') this.#ready.add(process)
    if (type === 'process_started' && !this.#isProbed(process)) this.#ready.add(process)
    if (type === 'process_unhealthy' || type === 'process_exited' || type === 'process_stopped') {
      this.#ready.delete(process)
    }
  }

  /** `3 of 10 ready`, `ready`, `9 of 10 ready; not ready: store`, `stopping`. */
  get text(): string {
    if (this.#stopping) return 'stopping'
    const names = this.#processes().map(({ name }) => name)
    const missing = names.filter((name) => !this.#ready.has(name))
    if (missing.length === 0) return 'ready'
    const count = `${names.length - missing.length} of ${names.length} ready`
    if (!this.#wasReady) return count
    const more = missing.length > shownNames ? ', …' : ''
    return `${count}; not ready: ${missing.slice(0, shownNames).join(', ')}${more}`
  }

  /** Is ready only when it says so. */
  #isProbed(process: string): boolean {
    return this.#processes().some(({ name, readinessProbe }) => name === process && readinessProbe !== null)
  }
}

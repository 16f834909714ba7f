import type { SupervisorEvent } from '../events.ts'
import { commandText } from './command-text.ts'
import {
  byProcess,
  commandLineOf,
  taggedProcesses,
  type TaggedProcess,
  stillLiving,
  systemSource,
} from '../system/process-table.ts'
import type { ProcessSource } from '../system/process-source.ts'
import { sleep } from '../timers.ts'

const TIMEOUT_MS = 5000
const AFTER_KILL_MS = 2000
const FIRST_CHECK_MS = 2
const CHECK_EVERY_MS = 100

export interface EscapedOptions {
  /** Returns true if SIGKILL must not wait for SIGTERM to take effect. */
  readonly killNow: () => boolean
  readonly emit: (event: SupervisorEvent) => void
  /** Returns the `secret_names` that apply to a process. Default: none. */
  readonly secretNames?: (process: string) => readonly string[]
  /** Default: that of the system. */
  readonly source?: ProcessSource
}

/** Processes that a child has left. */
export interface Orphans {
  readonly pids: readonly number[]
  /** The command line of each, cut and without secrets. */
  readonly commands: readonly string[]
}

type Find = () => TaggedProcess[]

/**
 * Ends the orphans that left their process group, such as a daemon in a separate session. They are found by the run tag in
 * their environment. Resolves when all are gone, or the remaining processes cannot be killed.
 */
export async function endEscaped(runTag: string, options: EscapedOptions): Promise<void> {
  const find: Find = () => taggedProcesses(`${runTag}/`, options.source)
  await endAll(find, find(), options)
}

/**
 * Ends the escaped processes of one process while all others run. Scans the process table; concurrent callers share one scan, and
 * scanning takes at most a tenth of the time.
 */
export class OrphanScanner {
  readonly #runTag: string
  readonly #options: EscapedOptions
  #scan: Promise<readonly TaggedProcess[]> | null = null
  #nextScanAt = 0
  readonly #killed: TaggedProcess[] = []

  constructor(runTag: string, options: EscapedOptions) {
    this.#runTag = runTag
    this.#options = options
  }

  /**
   * Ends the escaped processes of the first `children` children, whose groups are empty. Resolves as `endEscaped` does. `report`
   * receives those that are found first, instead of an event.
   */
  async endOf(name: string, children: number, report?: (orphans: Orphans) => void): Promise<void> {
    const prefix = `${this.#runTag}/${name}/`
    const isOurs = ({ runTag }: TaggedProcess) =>
      runTag.startsWith(prefix) && Number(runTag.slice(prefix.length)) <= children
    this.#scan ??= this.#startScan()
    const ours = (await this.#scan).filter(isOurs)
    if (ours.length === 0) return
    const find: Find = () => taggedProcesses(prefix, this.#options.source).filter(isOurs)
    // An exec probe that was killed a moment ago may still have been in the scan.
    await sleep(FIRST_CHECK_MS)
    await endAll(find, stillLiving(ours, this.#options.source), this.#options, report)
  }

  /** Sends SIGKILL to the escaped processes of all children, synchronously. */
  killAll(): void {
    for (const orphan of taggedProcesses(`${this.#runTag}/`, this.#options.source)) {
      send(orphan.pid, 'SIGKILL')
      this.#killed.push(orphan)
    }
  }

  /** Ends the escaped processes of all children. Resolves as `endEscaped` does. */
  async endAll(): Promise<void> {
    await endEscaped(this.#runTag, this.#options)
    // An exiting process loses its environment, and with it the run tag, before it is gone.
    await signalUntilGone(() => [], stillLiving(this.#killed, this.#options.source), {
      ...this.#options,
      signal: 'SIGKILL',
      ms: AFTER_KILL_MS,
    })
  }

  async #startScan(): Promise<readonly TaggedProcess[]> {
    const wait = this.#nextScanAt - performance.now()
    await (wait > 0 ? sleep(wait) : new Promise((resolve) => setImmediate(resolve)))
    // Later callers need a later scan: this one may miss their orphans.
    this.#scan = null
    const startedAt = performance.now()
    const found = taggedProcesses(`${this.#runTag}/`, this.#options.source)
    const now = performance.now()
    this.#nextScanAt = now + 9 * (now - startedAt)
    return found
  }
}

async function endAll(
  find: Find,
  found: TaggedProcess[],
  options: EscapedOptions,
  report?: (orphans: Orphans) => void,
): Promise<void> {
  if (found.length === 0) return
  for (const [name, pids] of byProcess(found)) {
    const orphans = describeOrphans(pids, options.secretNames?.(name), options.source)
    if (report === undefined) options.emit({ type: 'descendants_killed', process: name, ...orphans })
    else report(orphans)
  }
  let left = await signalUntilGone(find, found, {
    ...options,
    signal: 'SIGTERM',
    ms: TIMEOUT_MS,
    isEnough: options.killNow,
  })
  if (left.length > 0) left = await signalUntilGone(find, left, { ...options, signal: 'SIGKILL', ms: AFTER_KILL_MS })
  for (const [name, pids] of byProcess(left)) options.emit({ type: 'process_survived', process: name, pids })
}

/** Returns the processes with their command lines. */
export function describeOrphans(
  pids: readonly number[],
  secretNames: readonly string[] = [],
  source: ProcessSource = systemSource,
): Orphans {
  return { pids, commands: pids.map((pid) => commandText(commandLineOf(pid, source), secretNames)) }
}

const MAX_LISTED = 3

/** Returns a text such as `1 process running (6600 nginx: master process)`. */
export function describeLeft(orphans: Orphans): string {
  const count = orphans.pids.length === 1 ? '1 process' : `${orphans.pids.length} processes`
  return `${count} running (${listOrphans(orphans)})`
}

/** Returns the pids and commands of at most three processes, and the number of the others. */
export function listOrphans({ pids, commands }: Orphans): string {
  const shown = pids.slice(0, MAX_LISTED).map((pid, index) => `${pid} ${commands[index] ?? ''}`.trim())
  const more = pids.length - shown.length
  return `${shown.join(', ')}${more === 0 ? '' : ` and ${more} more`}`
}

interface SignalOptions {
  readonly signal: NodeJS.Signals
  /** The maximum wait. */
  readonly ms: number
  /** Returns true to end the wait early. */
  readonly isEnough?: () => boolean
  readonly source?: ProcessSource
}

async function signalUntilGone(
  find: Find,
  found: TaggedProcess[],
  { signal, ms, isEnough = () => false, source = systemSource }: SignalOptions,
): Promise<TaggedProcess[]> {
  const until = performance.now() + ms
  const signalled = new Set<number>()
  let left = found
  for (let wait = FIRST_CHECK_MS; ; wait = Math.min(wait * 2, CHECK_EVERY_MS)) {
    if (left.length === 0 || performance.now() >= until || isEnough()) return left
    for (const { pid } of left.filter((orphan) => !signalled.has(orphan.pid))) {
      signalled.add(pid)
      send(pid, signal)
      send(pid, 'SIGCONT')
    }
    await sleep(wait)
    left = stillLiving(left, source)
    // Scans for others only if none of them is left, because a scan reads the environment of every process.
    if (left.length === 0) left = find()
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // The process is gone, or belongs to another user; the next check shows which.
  }
}

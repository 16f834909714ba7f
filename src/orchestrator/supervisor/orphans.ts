import type { SupervisorEvent } from './events.ts'
import type { Group } from './process-group.ts'
import { markedProcesses, type MarkedProcess, stillLiving } from './process-table.ts'
import { sleep } from './timers.ts'

export interface LeftoverHandling {
  /** Ends what is in a group. */
  empty(group: Group): Promise<void>
  /** Ends those who left the groups of the first so many children. */
  endEscaped(children: number): Promise<void>
  /** Nothing of it is left. */
  onEmpty(): void
}

/** What outlived a child: members of its group, and who left that. It is ended before the next start, or at the end. */
export class Leftovers {
  readonly #groups = new Set<Group>()
  readonly #handling: LeftoverHandling
  #children = 0
  /** A child ran since the last look for those who left their groups. */
  #mayHaveEscaped = false
  #emptying: Promise<void> | null = null
  #clearing: Promise<void> | null = null

  constructor(handling: LeftoverHandling) {
    this.#handling = handling
  }

  get groups(): readonly Group[] {
    return [...this.#groups]
  }

  /** Nothing is known to be left, nor being looked for. */
  get isEmpty(): boolean {
    return this.#groups.size === 0 && this.#clearing === null
  }

  /** Takes a group whose leader has gone, if anybody is left in it. */
  add(group: Group): void {
    if (!group.isEmpty()) this.#groups.add(group)
  }

  /** A child starts, which may leave something behind. */
  expect(): void {
    this.#children++
    this.#mayHaveEscaped = true
  }

  /** Ends all of it; resolves when it is gone. */
  async clear(): Promise<void> {
    if (this.isEmpty && !this.#mayHaveEscaped) return
    this.#clearing ??= this.#clear()
    await this.#clearing
  }

  /**
   * Ends all of it, then calls `start`. With `hurry` only groups are ended before: who left them is looked for afterwards, for
   * that means the whole machine.
   */
  async clearThen(start: () => void, hurry: boolean): Promise<void> {
    const children = this.#children
    await (hurry ? this.#emptyGroups() : this.clear())
    start()
    if (hurry) void this.#handling.endEscaped(children)
  }

  async #clear(): Promise<void> {
    await this.#emptyGroups()
    this.#mayHaveEscaped = false
    await this.#handling.endEscaped(this.#children)
    this.#clearing = null
    this.#handling.onEmpty()
  }

  async #emptyGroups(): Promise<void> {
    if (this.#groups.size === 0) return
    this.#emptying ??= Promise.all(
      this.groups.map(async (group) => {
        await this.#handling.empty(group)
        this.#groups.delete(group)
      }),
    ).then(() => {
      this.#emptying = null
      this.#handling.onEmpty()
    })
    await this.#emptying
  }
}

const TIMEOUT_MS = 5000
const AFTER_KILL_MS = 2000
const FIRST_LOOK_MS = 2
const LOOK_EVERY_MS = 100

export interface EscapedOptions {
  /** True as soon as nothing is to be waited for any longer. */
  readonly killNow: () => boolean
  readonly emit: (event: SupervisorEvent) => void
}

/** All that are to end. */
type Find = () => MarkedProcess[]

/**
 * Ends what left its process group, and so outlived it: a daemon with a session of its own, found by the mark in its
 * environment. Resolves when none is left, or the rest cannot be killed.
 */
export async function endEscaped(mark: string, options: EscapedOptions): Promise<void> {
  const find: Find = () => markedProcesses(`${mark}/`)
  await endAll(find, find(), options)
}

/**
 * Finds what one process left behind while all others go on. The whole machine has to be looked at for that: those who ask
 * at the same time share one look, and at most a tenth of the time goes into looking.
 */
export class EscapeWatch {
  readonly #mark: string
  readonly #options: EscapedOptions
  #look: Promise<readonly MarkedProcess[]> | null = null
  #nextLookAt = 0
  readonly #killed: MarkedProcess[] = []

  constructor(mark: string, options: EscapedOptions) {
    this.#mark = mark
    this.#options = options
  }

  /** Ends what is left of the first so many children of a process, whose groups are empty; resolves as `endEscaped` does. */
  async endOf(process: string, children: number): Promise<void> {
    const prefix = `${this.#mark}/${process}/`
    const isOurs = ({ mark }: MarkedProcess) => mark.startsWith(prefix) && Number(mark.slice(prefix.length)) <= children
    this.#look ??= this.#lookAround()
    const ours = (await this.#look).filter(isOurs)
    if (ours.length === 0) return
    const find: Find = () => markedProcesses(prefix).filter(isOurs)
    // A probe that was killed just now may still have been there.
    await sleep(FIRST_LOOK_MS)
    await endAll(find, stillLiving(ours), this.#options)
  }

  /** SIGKILL to whatever escaped from any of them, now. */
  killAll(): void {
    for (const one of markedProcesses(`${this.#mark}/`)) {
      send(one.pid, 'SIGKILL')
      this.#killed.push(one)
    }
  }

  /** Ends what escaped from any of them; resolves as `endEscaped` does. */
  async endAll(): Promise<void> {
    await endEscaped(this.#mark, this.#options)
    // The mark of those is gone before they are.
    await signalUntilGone(() => [], stillLiving(this.#killed), 'SIGKILL', { ms: AFTER_KILL_MS, enough: () => false })
  }

  async #lookAround(): Promise<readonly MarkedProcess[]> {
    const wait = this.#nextLookAt - performance.now()
    await (wait > 0 ? sleep(wait) : new Promise((resolve) => setImmediate(resolve)))
    // Who asks from now on may mean something that this look does not see.
    this.#look = null
    const begun = performance.now()
    const found = markedProcesses(`${this.#mark}/`)
    const now = performance.now()
    this.#nextLookAt = now + 9 * (now - begun)
    return found
  }
}

async function endAll(find: Find, found: MarkedProcess[], options: EscapedOptions): Promise<void> {
  if (found.length === 0) return
  for (const [process, pids] of byProcess(found)) options.emit({ type: 'descendants_killed', process, pids })
  let left = await signalUntilGone(find, found, 'SIGTERM', { ms: TIMEOUT_MS, enough: options.killNow })
  if (left.length > 0) left = await signalUntilGone(find, left, 'SIGKILL', { ms: AFTER_KILL_MS, enough: () => false })
  for (const [process, pids] of byProcess(left)) options.emit({ type: 'process_survived', process, pids })
}

async function signalUntilGone(
  find: Find,
  found: MarkedProcess[],
  signal: NodeJS.Signals,
  { ms, enough }: { readonly ms: number; readonly enough: () => boolean },
): Promise<MarkedProcess[]> {
  const until = performance.now() + ms
  const told = new Set<number>()
  let left = found
  for (let wait = FIRST_LOOK_MS; ; wait = Math.min(wait * 2, LOOK_EVERY_MS)) {
    if (left.length === 0 || performance.now() >= until || enough()) return left
    for (const { pid } of left.filter((one) => !told.has(one.pid))) {
      told.add(pid)
      send(pid, signal)
      send(pid, 'SIGCONT')
    }
    await sleep(wait)
    left = whoIsLeft(find, left)
  }
}

/** While one of those that are known lives, nobody else is looked for: that means the whole machine. */
function whoIsLeft(find: Find, known: readonly MarkedProcess[]): MarkedProcess[] {
  const living = stillLiving(known)
  return living.length > 0 ? living : find()
}

function byProcess(marked: readonly MarkedProcess[]): Map<string, number[]> {
  const groups = new Map<string, number[]>()
  for (const { pid, mark } of marked) {
    const [, name = ''] = mark.split('/')
    groups.set(name, [...(groups.get(name) ?? []), pid])
  }
  return groups
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // Gone in the meantime, or not ours to end: the next look tells.
  }
}

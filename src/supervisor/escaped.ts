import type { SupervisorEvent } from './events.ts'
import { markedProcesses, type MarkedProcess } from './process-table.ts'
import { sleep } from './sleep.ts'

const TIMEOUT_MS = 5000
const AFTER_KILL_MS = 2000
const FIRST_LOOK_MS = 2
const LOOK_EVERY_MS = 100

export interface EscapedOptions {
  /** True as soon as nothing is to be waited for any longer. */
  readonly killNow: () => boolean
  readonly emit: (event: SupervisorEvent) => void
}

/**
 * Ends what left its process group, and so outlived it: a daemon with a session of its own, found by the mark in its
 * environment. Resolves when none is left, or the rest cannot be killed.
 */
export async function endEscaped(mark: string, options: EscapedOptions): Promise<void> {
  let left = markedProcesses(`${mark}/`)
  if (left.length === 0) return
  for (const [process, pids] of byProcess(left)) options.emit({ type: 'descendants_killed', process, pids })
  left = await signalUntilGone(mark, 'SIGTERM', TIMEOUT_MS, options.killNow)
  if (left.length > 0) left = await signalUntilGone(mark, 'SIGKILL', AFTER_KILL_MS, () => false)
  for (const [process, pids] of byProcess(left)) options.emit({ type: 'process_survived', process, pids })
}

/** SIGKILL to all of them, now. */
export function killEscaped(mark: string): void {
  for (const { pid } of markedProcesses(`${mark}/`)) send(pid, 'SIGKILL')
}

async function signalUntilGone(
  mark: string,
  signal: NodeJS.Signals,
  ms: number,
  enough: () => boolean,
): Promise<MarkedProcess[]> {
  const until = performance.now() + ms
  const told = new Set<number>()
  let left = markedProcesses(`${mark}/`)
  for (let wait = FIRST_LOOK_MS; ; wait = Math.min(wait * 2, LOOK_EVERY_MS)) {
    if (left.length === 0 || performance.now() >= until || enough()) return left
    for (const { pid } of left.filter((one) => !told.has(one.pid))) {
      told.add(pid)
      send(pid, signal)
      send(pid, 'SIGCONT')
    }
    await sleep(wait)
    left = stillMarked(mark, left)
  }
}

/** While one of those that are known lives, nobody else is looked for: that means the whole machine. */
function stillMarked(mark: string, known: readonly MarkedProcess[]): MarkedProcess[] {
  const pids = known.map(({ pid }) => pid)
  const living = markedProcesses(`${mark}/`, pids)
  return living.length > 0 ? living : markedProcesses(`${mark}/`)
}

function byProcess(marked: readonly MarkedProcess[]): Map<string, number[]> {
  const groups = new Map<string, number[]>()
  for (const { pid, mark } of marked) {
    const name = mark.slice(mark.indexOf('/') + 1)
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

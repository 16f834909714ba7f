import { readdirSync, readFileSync } from 'node:fs'

/** The name of the variable that marks every child and, inherited, all that it starts. */
export const MARK_VARIABLE = 'PONIX_SUPERVISED'

/** Places among the fields of /proc/PID/stat from the status on; see proc(5). */
const GROUP = 2
const USER_TIME = 11
const SYSTEM_TIME = 12
const START_TIME = 19
const RESIDENT = 21
const MS_PER_TICK = 10
const PAGE_BYTES = 4096

export interface ProcessEntry {
  readonly pid: number
  readonly parent: number
  readonly group: number
  /** One letter, as ps shows it: `Z` is dead but not yet collected by its parent. */
  readonly status: string
  /** When it started, as the kernel counts it. */
  readonly start: string
}

/** The living members of a process group: all, or those among `pids`. None where there is no /proc. */
export function groupMembers(group: number, pids: readonly number[] = processIds()): number[] {
  return pids.filter((pid) => {
    const entry = readEntry(pid)
    return entry !== null && entry.group === group && isAlive(entry)
  })
}

export interface MarkedProcess {
  readonly pid: number
  readonly mark: string
  /** As `startOf` has it: the id alone may be another process's by now. */
  readonly start: string
}

/**
 * The living processes whose environment has a mark that begins with `markPrefix`: children and what they started, even in
 * a session of its own and with its parent gone. One that has overwritten its environment, or belongs to another user, is
 * not seen.
 */
export function markedProcesses(markPrefix: string): MarkedProcess[] {
  const wanted = `${MARK_VARIABLE}=${markPrefix}`
  return processIds().flatMap((pid) => {
    if (pid === process.pid) return []
    const mark = readProc(pid, 'environ')
      .split('\0')
      .find((variable) => variable.startsWith(wanted))
    if (mark === undefined) return []
    const entry = readEntry(pid)
    return entry !== null && isAlive(entry)
      ? [{ pid, mark: mark.slice(MARK_VARIABLE.length + 1), start: entry.start }]
      : []
  })
}

/**
 * Those of them that live still. Their environment is not asked: a process that is about to die has given it back some
 * milliseconds before it is dead.
 */
export function stillLiving(marked: readonly MarkedProcess[]): MarkedProcess[] {
  return marked.filter(({ pid, start }) => {
    const entry = readEntry(pid)
    return entry !== null && entry.start === start && isAlive(entry)
  })
}

/** The process group that a process belongs to; null if it is gone, and where there is no /proc. */
export function groupOf(pid: number): number | null {
  return readEntry(pid)?.group ?? null
}

/** When a process started, as the kernel counts it; null if it is gone, and where there is no /proc. */
export function startOf(pid: number): string | null {
  return readEntry(pid)?.start ?? null
}

export interface Usage {
  /** Processor time, of all members that live. */
  readonly cpuMs: number
  /** Resident memory; pages that members share count for each. */
  readonly memoryBytes: number
}

/** What process groups use; empty where there is no /proc. Linux counts in 100 ticks a second and pages of 4 KiB. */
export function groupUsage(groups: ReadonlySet<number>): ReadonlyMap<number, Usage> {
  const usage = new Map<number, Usage>()
  for (const pid of processIds()) {
    const fields = statFields(pid)
    const group = Number(fields[GROUP])
    if (!groups.has(group)) continue
    const { cpuMs, memoryBytes } = usage.get(group) ?? { cpuMs: 0, memoryBytes: 0 }
    const ticks = Number(fields[USER_TIME]) + Number(fields[SYSTEM_TIME])
    const pages = Number(fields[RESIDENT])
    usage.set(group, { cpuMs: cpuMs + ticks * MS_PER_TICK, memoryBytes: memoryBytes + pages * PAGE_BYTES })
  }
  return usage
}

function isAlive(entry: ProcessEntry): boolean {
  return entry.status !== 'Z' && entry.status !== 'X'
}

function processIds(): number[] {
  try {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => Number.isInteger(pid))
  } catch {
    return []
  }
}

function readEntry(pid: number): ProcessEntry | null {
  const fields = statFields(pid)
  const [status, parent, group] = fields
  const start = fields[START_TIME]
  if (status === undefined || parent === undefined || group === undefined || start === undefined) return null
  return { pid, parent: Number(parent), group: Number(group), status, start }
}

/** `pid (name) status parent group …`, from the status on: the name may hold spaces and parentheses. See proc(5). */
function statFields(pid: number): readonly string[] {
  const stat = readProc(pid, 'stat')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function readProc(pid: number, file: 'stat' | 'environ'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}

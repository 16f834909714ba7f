import { readdirSync, readFileSync } from 'node:fs'

/** Environment variable with the run tag: set for every child, inherited by its descendants. */
export const RUN_TAG_VARIABLE = 'PONIX_SUPERVISED'

/** Indexes of the fields of /proc/PID/stat, counted from the status; see proc(5). */
const PARENT = 1
const GROUP = 2
const USER_TIME = 11
const SYSTEM_TIME = 12
const START_TIME = 19
const RESIDENT = 21
const MS_PER_TICK = 10
const PAGE_BYTES = 4096

interface ProcessEntry {
  readonly group: number
  /** One letter, as in ps: `Z` means zombie. */
  readonly status: string
  /** Start time in clock ticks since boot. */
  readonly start: string
}

/** Returns the running members of a process group, limited to `pids` if given. Empty without /proc. */
export function groupMembers(group: number, pids: readonly number[] = processIds()): number[] {
  return pids.filter((pid) => livingEntry(pid)?.group === group)
}

export interface TaggedProcess {
  readonly pid: number
  readonly runTag: string
  /** Start time, which distinguishes the process from a later process with the same pid. */
  readonly start: string
}

/**
 * Returns the running processes with a run tag that begins with `prefix`: children and their descendants, including daemons.
 * A process that has overwritten its environment, or belongs to another user, is not found.
 */
export function taggedProcesses(prefix: string): TaggedProcess[] {
  const wanted = `${RUN_TAG_VARIABLE}=${prefix}`
  return processIds().flatMap((pid) => {
    if (pid === process.pid) return []
    const runTag = readProc(pid, 'environ')
      .split('\0')
      .find((variable) => variable.startsWith(wanted))
    if (runTag === undefined) return []
    const start = livingEntry(pid)?.start
    return start === undefined ? [] : [{ pid, runTag: runTag.slice(RUN_TAG_VARIABLE.length + 1), start }]
  })
}

/** Returns the processes that still run, without reading their environment, which an exiting process loses earlier. */
export function stillLiving(tagged: readonly TaggedProcess[]): TaggedProcess[] {
  return tagged.filter(({ pid, start }) => livingEntry(pid)?.start === start)
}

/** Returns the start time of a process in clock ticks since boot; null if it is gone or there is no /proc. */
export function startOf(pid: number): string | null {
  return readEntry(pid)?.start ?? null
}

export interface Relations {
  /** The name of the program as the kernel knows it, at most 15 bytes. */
  readonly program: string
  readonly parent: number
  readonly group: number
}

/** Returns the relations of a process; null if it is gone or there is no /proc. */
export function relationsOf(pid: number): Relations | null {
  const stat = readProc(pid, 'stat')
  const fields = fieldsOf(stat)
  if (fields[GROUP] === undefined) return null
  const program = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
  return { program, parent: Number(fields[PARENT]), group: Number(fields[GROUP]) }
}

/** Returns the command line of a process; empty if it is gone or there is no /proc. */
export function commandLineOf(pid: number): readonly string[] {
  return readProc(pid, 'cmdline').split('\0').slice(0, -1)
}

export interface Usage {
  /** CPU time of all running members. */
  readonly cpuMs: number
  /** Resident memory; shared pages count once per member. */
  readonly memoryBytes: number
}

/** Returns the usage by process group; empty without /proc. Assumes 100 ticks per second and pages of 4 KiB. */
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

/** Returns the entry of a process that is not a zombie; null if there is none. */
function livingEntry(pid: number): ProcessEntry | null {
  const entry = readEntry(pid)
  return entry?.status === 'Z' || entry?.status === 'X' ? null : entry
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
  const [status, , group] = fields
  const start = fields[START_TIME]
  if (status === undefined || group === undefined || start === undefined) return null
  return { group: Number(group), status, start }
}

/** Returns the fields of `pid (name) status parent group …`, from the status on; the name can contain spaces. See proc(5). */
function statFields(pid: number): readonly string[] {
  return fieldsOf(readProc(pid, 'stat'))
}

function fieldsOf(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function readProc(pid: number, file: 'stat' | 'environ' | 'cmdline'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}

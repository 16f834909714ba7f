import { existsSync } from 'node:fs'
import { ProcSource } from './proc.ts'
import type { ProcessInfo, ProcessSource } from './process-source.ts'
import { PsSource } from './ps.ts'

/** /proc if the system has it, as Linux does; otherwise the program ps, as on macOS. */
export const systemSource: ProcessSource = existsSync('/proc/self/stat') ? new ProcSource() : new PsSource()

/** Environment variable with the run tag: set for every child, inherited by its descendants. */
export const RUN_TAG_VARIABLE = 'PONIX_SUPERVISED'

/** Returns the running members of a process group, limited to `pids` if given. */
export function groupMembers(group: number, pids?: readonly number[], source: ProcessSource = systemSource): number[] {
  return source.list(pids).flatMap((info) => (info.group === group && isLiving(info) ? [info.pid] : []))
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
export function taggedProcesses(prefix: string, source: ProcessSource = systemSource): TaggedProcess[] {
  const found = source.withVariable(RUN_TAG_VARIABLE, prefix).filter(({ pid }) => pid !== process.pid)
  if (found.length === 0) return []
  const living = new Map(
    source.list(found.map(({ pid }) => pid)).flatMap((info) => (isLiving(info) ? [[info.pid, info.start]] : [])),
  )
  return found.flatMap(({ pid, value }) => {
    const start = living.get(pid)
    return start === undefined ? [] : [{ pid, runTag: value, start }]
  })
}

/** Returns the pids by the name of the process of the graph: the run tag of a child ends in that name and the number of the child. */
export function byProcess(tagged: readonly TaggedProcess[]): ReadonlyMap<string, readonly number[]> {
  const pids = new Map<string, number[]>()
  for (const { pid, runTag } of tagged) {
    const name = runTag.split('/').at(-2) ?? ''
    pids.set(name, [...(pids.get(name) ?? []), pid])
  }
  return pids
}

/** Returns the processes that still run, without reading their environment, which an exiting process loses earlier. */
export function stillLiving(tagged: readonly TaggedProcess[], source: ProcessSource = systemSource): TaggedProcess[] {
  const infos = source.list(tagged.map(({ pid }) => pid)).filter(isLiving)
  const living = new Set(infos.map(({ pid, start }) => `${pid} ${start}`))
  return tagged.filter(({ pid, start }) => living.has(`${pid} ${start}`))
}

/** Returns the start time of a process, comparable with that of the same source only; null if it is gone or a zombie. */
export function startOf(pid: number, source: ProcessSource = systemSource): string | null {
  return source.list([pid]).find(isLiving)?.start ?? null
}

export type Relations = Pick<ProcessInfo, 'program' | 'parent' | 'group'>

/** Returns the relations of a process; null if it is gone. */
export function relationsOf(pid: number, source: ProcessSource = systemSource): Relations | null {
  return source.list([pid])[0] ?? null
}

/** Returns whether the process is in the foreground of its terminal. */
export function isInForeground(pid: number, source: ProcessSource = systemSource): boolean {
  return source.list([pid])[0]?.isInForeground === true
}

/** Returns the command line of a process; empty if it is gone. */
export function commandLineOf(pid: number, source: ProcessSource = systemSource): readonly string[] {
  return source.commandLine(pid)
}

export interface Usage {
  /** CPU time of all running members. */
  readonly cpuMs: number
  /** Resident memory; shared pages count once per member. */
  readonly memoryBytes: number
}

/** Returns the usage by process group. */
export function groupUsage(
  groups: ReadonlySet<number>,
  source: ProcessSource = systemSource,
): ReadonlyMap<number, Usage> {
  const usage = new Map<number, Usage>()
  for (const { group, cpuMs, memoryBytes } of source.list()) {
    if (!groups.has(group)) continue
    const before = usage.get(group) ?? { cpuMs: 0, memoryBytes: 0 }
    usage.set(group, { cpuMs: before.cpuMs + cpuMs, memoryBytes: before.memoryBytes + memoryBytes })
  }
  return usage
}

function isLiving({ status }: ProcessInfo): boolean {
  return status !== 'Z' && status !== 'X'
}

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { ProcessInfo, ProcessSource } from './process-source.ts'

/** Indexes of the fields of /proc/PID/stat, counted from the status; see proc(5). */
const STATUS = 0
const PARENT = 1
const GROUP = 2
const FOREGROUND_GROUP = 5
const USER_TIME = 11
const SYSTEM_TIME = 12
const START_TIME = 19
const RESIDENT = 21
const MS_PER_TICK = 10
const PAGE_BYTES = 4096

/** Reads /proc. Assumes 100 ticks per second and pages of 4 KiB. */
export class ProcSource implements ProcessSource {
  readonly seesAllTags = true

  list(pids: readonly number[] = processIds()): readonly ProcessInfo[] {
    return pids.flatMap((pid) => readInfo(pid) ?? [])
  }

  withVariable(name: string, prefix: string): readonly { readonly pid: number; readonly value: string }[] {
    const wanted = `${name}=${prefix}`
    return processIds().flatMap((pid) => {
      const variable = readProc(pid, 'environ')
        .split('\0')
        .find((text) => text.startsWith(wanted))
      return variable === undefined ? [] : [{ pid, value: variable.slice(name.length + 1) }]
    })
  }

  commandLine(pid: number): readonly string[] {
    return readProc(pid, 'cmdline').split('\0').slice(0, -1)
  }
}

/** Parses `pid (name) status parent group …`; the name can contain spaces and parentheses. See proc(5). */
function readInfo(pid: number): ProcessInfo | null {
  const stat = readProc(pid, 'stat')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [status, start] = [fields[STATUS], fields[START_TIME]]
  if (status === undefined || start === undefined) return null
  return {
    pid,
    status,
    start,
    parent: Number(fields[PARENT]),
    group: Number(fields[GROUP]),
    isInForeground: fields[GROUP] === fields[FOREGROUND_GROUP],
    cpuMs: (Number(fields[USER_TIME]) + Number(fields[SYSTEM_TIME])) * MS_PER_TICK,
    memoryBytes: Number(fields[RESIDENT]) * PAGE_BYTES,
    program: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
  }
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

function readProc(pid: number, file: 'stat' | 'environ' | 'cmdline'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}

/** Returns the inodes of the open sockets of a process; empty if it is gone, belongs to another user, or there is no /proc. */
export function socketsOf(pid: number): ReadonlySet<string> {
  const folder = `/proc/${pid}/fd`
  try {
    return new Set(readdirSync(folder).flatMap((fd) => socketInode(`${folder}/${fd}`) ?? []))
  } catch {
    return new Set()
  }
}

function socketInode(path: string): string | null {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1] ?? null
  } catch {
    return null
  }
}

/** Returns, by inode, the pid of a process that has the socket open. Reads all of /proc until every owner is found. */
export function ownersOf(inodes: ReadonlySet<string>): ReadonlyMap<string, number> {
  const owners = new Map<string, number>()
  for (const pid of processIds()) {
    for (const inode of socketsOf(pid)) if (inodes.has(inode)) owners.set(inode, pid)
    if (owners.size === inodes.size) break
  }
  return owners
}

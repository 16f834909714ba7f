import { readdirSync, readFileSync } from 'node:fs'

const BYTES_PER_KB = 1024
const BYTES_PER_MB = 1_000_000
/** The kernel counts processor time in hundredths of a second. */
const TICK_MS = 10

/** Returns the peak resident memory of a process in MB; 0 if it has exited. */
export function peakMemory(pid: number): number {
  return megabytes(pid, 'VmHWM')
}

/** Returns the resident memory of a process in MB; 0 if it has exited. */
export function memoryOf(pid: number): number {
  return megabytes(pid, 'VmRSS')
}

/** Returns the processor time of a process in ms. */
export function processorTime(pid: number): number {
  const fields = statFields(pid)
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_MS
}

/** Returns whether a process runs; false for a zombie. */
export function isAlive(pid: number): boolean {
  const [status] = statFields(pid)
  return status !== undefined && status !== '' && status !== 'Z' && status !== 'X'
}

/** Returns a process and its descendants, except `without` and their descendants. */
export function processTree(root: number, without: ReadonlySet<number>): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const parent = Number(statFields(pid)[1])
    children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const found = [root]
  for (const pid of found) found.push(...(children.get(pid) ?? []).filter((child) => !without.has(child)))
  return found
}

function megabytes(pid: number, comparison: 'VmHWM' | 'VmRSS'): number {
  const line = read(`/proc/${pid}/status`).match(new RegExp(`^${comparison}:\\s+(\\d+) kB`, 'm'))
  return (Number(line?.[1] ?? 0) * BYTES_PER_KB) / BYTES_PER_MB
}

/** Returns the fields of /proc/PID/stat from the state on; the name before it can contain spaces. */
function statFields(pid: number): readonly string[] {
  const stat = read(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

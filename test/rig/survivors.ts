import { readdir, readFile } from 'node:fs/promises'

/**
 * Processes that live and have `mark` in the environment they were started with, as all descendants of a process that was
 * given it do: `pid command`. Needs /proc.
 */
export async function survivors(mark: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(pids.map((pid) => commandOfMarked(pid, mark)))
  return found.filter((command) => command !== null)
}

/** A process may end while it is looked at; then it is none of the survivors. */
async function commandOfMarked(pid: string, mark: string): Promise<string | null> {
  try {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1')
    if (!environment.includes(mark)) return null
    const command = await readFile(`/proc/${pid}/cmdline`, 'latin1')
    return command === '' ? null : `${pid} ${command.replaceAll('\0', ' ')}`
  } catch {
    return null
  }
}

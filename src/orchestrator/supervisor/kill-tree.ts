import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { sleep } from './sleep.ts'

/** Reading the process table of a busy machine takes a moment; more is not worth waiting for. */
const TREE_KILL_MS = 1000

/**
 * SIGKILL to a living process and to whatever descends from it, also in other process groups. Only for a process that has
 * not been collected yet: its id could belong to another one by now.
 */
export async function killTree(pid: number): Promise<void> {
  if (!canReadProcessTable()) return
  const { default: treeKill } = await import('tree-kill')
  const done = new AbortController()
  try {
    treeKill(pid, 'SIGKILL', () => done.abort())
  } catch {
    return
  }
  await sleep(TREE_KILL_MS, done.signal)
}

/** tree-kill throws where nobody can catch it if the program that it asks is missing. */
function canReadProcessTable(): boolean {
  const program = process.platform === 'darwin' ? 'pgrep' : 'ps'
  return (process.env['PATH'] ?? '').split(':').some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

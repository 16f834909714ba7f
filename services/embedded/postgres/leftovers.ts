import { existsSync } from 'node:fs'
import { readdir, readlink, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ServerError } from '../../../src/domain/errors.ts'

const PATIENCE_MS = 20_000

/**
 * After the server itself was killed: waits for its other processes, which notice that and go by themselves, and removes a
 * `postmaster.pid` whose process is gone. PostgreSQL would take it for alive while it is a zombie that its parent has not
 * collected, or when its number was given to another process. Needs /proc; PostgreSQL's own checks remain elsewhere.
 */
export async function clearLeftovers(cluster: string): Promise<void> {
  if (!existsSync('/proc/self/cwd') || !existsSync(join(cluster, 'postmaster.pid'))) return
  const deadline = performance.now() + PATIENCE_MS
  const folder = await realpath(cluster)
  for (let left = await processesIn(folder); left.length > 0; left = await processesIn(folder)) {
    if (performance.now() > deadline) {
      throw new ServerError(`processes ${left.join(', ')} still use PostgreSQL's data in ${cluster}: stop them first`)
    }
    await sleep(20)
  }
  await rm(join(cluster, 'postmaster.pid'), { force: true })
}

/** PostgreSQL's processes work in its data folder. */
async function processesIn(folder: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const folders = await Promise.all(pids.map(workingFolder))
  return pids.filter((_, index) => folders[index] === folder)
}

/** Undefined for a process that is gone, a zombie, or somebody else's. */
function workingFolder(pid: string): Promise<string | undefined> {
  return readlink(`/proc/${pid}/cwd`).catch(() => undefined)
}

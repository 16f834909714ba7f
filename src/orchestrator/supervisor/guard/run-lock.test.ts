import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { builtProgram } from '../../../../test/rig/program.ts'
import { type RunFolder, runFolder } from './run-folder.ts'
import { RunLock } from './run-lock.ts'

/** Returns how many programs have the lock file open as a guard does. */
function openers({ lockPath }: RunFolder): number {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/fd/9`) === lockPath
    } catch {
      return false
    }
  }).length
}

test('a guard that has waited for a lock file locks the file that replaces it (O-38)', async () => {
  const temporary = mkdtempSync(join(tmpdir(), 'ponix-lock-'))
  onTestFinished(() => rmSync(temporary, { recursive: true }))
  const configPath = join(temporary, 'commonplace.json')
  writeFileSync(configPath, '{}')
  const folder = runFolder(configPath, { XDG_RUNTIME_DIR: temporary })
  const warn = (message: string) => expect.unreachable(message)
  const acquire = () =>
    RunLock.acquire({ folder, configPath, socketPath: null, guardProgram: builtProgram('guard'), warn })
  const first = await acquire()
  // As at the end of a run, when the guard still holds the lock.
  rmSync(folder.recordPath)
  const second = acquire()
  // The guard of the second start is a shell that runs flock: both have the file open.
  await expect.poll(() => openers(folder), { timeout: 10_000 }).toBe(3)
  await first.release()
  const lock = await second
  expect(spawnSync('/bin/sh', ['-c', 'flock --nonblock "$1" true', 'sh', folder.lockPath]).status).toBe(1)
  await lock.release()
  expect(existsSync(folder.path)).toBe(false)
})

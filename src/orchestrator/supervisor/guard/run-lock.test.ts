import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { emptyFolder } from '../../../../test/rig/empty-folder.ts'
import { builtProgram } from '../../../../test/rig/program.ts'
import { type RunFolder, runFolder } from './run-folder.ts'
import { RunLock } from './run-lock.ts'

const guardProgram = join(dirname(builtProgram('guard')), 'ponix-guard.sh')

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

/** Returns a run folder below a temporary folder, and a function that takes its lock. */
function newRun(warn: (message: string) => void = (message) => expect.unreachable(message)) {
  const temporary = emptyFolder()
  const configPath = join(temporary, 'commonplace.json')
  writeFileSync(configPath, '{}')
  const folder = runFolder(configPath, { XDG_RUNTIME_DIR: temporary })
  const acquire = () => RunLock.acquire({ folder, configPath, socketPath: null, guardProgram, warn })
  return { temporary, configPath, folder, acquire }
}

const longAgo = new Date(Date.now() - 11 * 24 * 3_600_000)

test('a guard that has waited for a lock file locks the file that replaces it (O-38)', async () => {
  const { folder, acquire } = newRun()
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

test('a process list shows the guard by its name, with the configuration and without its script', async () => {
  const { configPath, folder, acquire } = newRun()
  const lock = await acquire()
  const guards = () =>
    readdirSync('/proc').flatMap((pid) => {
      const command = /^\d+$/.test(pid) ? readProc(`${pid}/cmdline`) : ''
      return command.includes(configPath) ? [{ command: command.split('\0'), name: readProc(`${pid}/comm`) }] : []
    })
  // The guard may be forking a program, whose process then still has its command line.
  await expect.poll(guards).toEqual([{ command: ['/bin/sh', guardProgram, configPath, ''], name: 'ponix-guard\n' }])
  await lock.release()
  expect(existsSync(folder.path)).toBe(false)
})

/** Returns whether a guard has locked the folder. A lock of the test would prevent that. */
function isLocked({ path }: RunFolder): boolean {
  return readdirSync('/proc').some((pid) => {
    try {
      return (
        /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/fd/8`) === path && /FLOCK/.test(readProc(`${pid}/fdinfo/8`))
      )
    } catch {
      return false
    }
  })
}

function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'latin1')
  } catch {
    return ''
  }
}

test('systemd-tmpfiles keeps the folder of a run, however old it is, and removes that of a run that has ended', async () => {
  const { temporary, folder, acquire } = newRun()
  const abandoned = join(dirname(folder.path), 'abandoned')
  mkdirSync(abandoned, { recursive: true, mode: 0o700 })
  writeFileSync(join(abandoned, 'run.json'), '{}')
  const lock = await acquire()
  // The guard locks the folder after it has reported the lock of the file.
  await expect.poll(() => isLocked(folder)).toBe(true)
  const files = [folder.recordPath, folder.lockPath, folder.path, join(abandoned, 'run.json'), abandoned]
  for (const file of files) utimesSync(file, longAgo, longAgo)
  // The time of the last change of an inode cannot be set, so it does not count here.
  const rules = join(temporary, 'rules.conf')
  writeFileSync(rules, `e ${dirname(folder.path)} - - - amAM:10d\n`)
  const { status, stderr } = spawnSync('systemd-tmpfiles', ['--clean', rules], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(existsSync(abandoned)).toBe(false)
  expect(readdirSync(folder.path).toSorted()).toEqual(['lock', 'run.json'])
  await lock.release()
})

test('a run marks its folder as used and keeps the time of its start; it reports once if the folder was removed', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const warnings: string[] = []
  const { folder, acquire } = newRun((message) => void warnings.push(message))
  const lock = await acquire()
  const files = [folder.path, folder.lockPath, folder.recordPath]
  for (const file of files) utimesSync(file, longAgo, longAgo)
  vi.advanceTimersByTime(24 * 3_600_000)
  for (const file of files) {
    const { atimeMs, mtimeMs } = statSync(file)
    expect([atimeMs > longAgo.getTime() + 1000, Math.abs(mtimeMs - longAgo.getTime()) < 1000]).toEqual([true, true])
  }
  expect(warnings).toEqual([])
  rmSync(folder.path, { recursive: true })
  vi.advanceTimersByTime(48 * 3_600_000)
  expect(warnings).toEqual([
    expect.stringMatching(/^the run folder \S+ was removed: .*; stop this one with "kill \d+"/),
  ])
  await lock.release()
})

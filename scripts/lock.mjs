// A lock between processes, without dependencies: set-up runs before anything is installed.
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 100
const HEARTBEAT_MS = 1000
const SILENT_MS = 10_000

/**
 * Acquires the lock of a folder. The holder is the process named in the file with the highest number; when that process has
 * ended or released the lock, one contender can create the file with the next number. Numbers only rise, so a slow contender
 * that read an old state finds a higher number and starts again: this makes the takeover from an ended holder safe.
 *
 * If another process holds the lock, `onHeld` is called once with its pid. If it returns false, the function returns
 * undefined; otherwise it waits.
 */
export async function lock(folder, { onHeld = () => true, signal } = {}) {
  await mkdir(folder, { recursive: true })
  const watch = { reported: false, key: '', since: 0 }
  for (;;) {
    signal?.throwIfAborted()
    const last = await highest(folder)
    const holder = last === 0 ? null : await readHolder(join(folder, String(last)))
    if (holder !== null && (await isAlive(holder, watch))) {
      if (!watch.reported && !onHeld(holder.pid)) return undefined
      watch.reported = true
      await sleep(POLL_MS, undefined, { signal })
    } else if (await take(folder, last + 1)) {
      return held(folder, last + 1)
    }
  }
}

async function highest(folder) {
  const numbers = (await readdir(folder)).filter((name) => /^\d+$/.test(name)).map(Number)
  return Math.max(0, ...numbers)
}

/** Reads the holder from a file; null if the lock was released. */
async function readHolder(path) {
  try {
    const { mtimeMs } = await stat(path)
    const holder = JSON.parse(await readFile(path, 'utf8'))
    return holder.pid === undefined ? null : { ...holder, key: `${path} ${mtimeMs}` }
  } catch (error) {
    if (error.code === 'ENOENT' || error instanceof SyntaxError) return null
    throw error
  }
}

/** Creates the file with the holder in one step; returns false if another process was faster. */
async function take(folder, number) {
  const path = join(folder, String(number))
  const draft = join(folder, `draft-${randomUUID()}`)
  await writeFile(draft, JSON.stringify({ pid: process.pid, host: hostname(), started: startOf(process.pid) }))
  try {
    await link(draft, path)
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
  if ((await highest(folder)) === number) return true
  await rm(path, { force: true })
  return false
}

function held(folder, number) {
  const path = join(folder, String(number))
  const heartbeat = setInterval(() => {
    utimes(path, new Date(), new Date()).catch(() => {})
  }, HEARTBEAT_MS).unref()
  void removeBelow(folder, number)
  return async function release() {
    clearInterval(heartbeat)
    const draft = join(folder, `draft-${randomUUID()}`)
    await writeFile(draft, '{}')
    await rename(draft, path)
  }
}

async function removeBelow(folder, number) {
  for (const name of await readdir(folder).catch(() => [])) {
    if (/^\d+$/.test(name) && Number(name) < number) await rm(join(folder, name), { force: true }).catch(() => {})
  }
}

/** Returns whether the holder runs; a holder on another machine or in another container runs while its heartbeat changes. */
async function isAlive(holder, watch) {
  if (holder.host === hostname()) return holder.started === startOf(holder.pid)
  if (watch.key !== holder.key) Object.assign(watch, { key: holder.key, since: performance.now() })
  return performance.now() - watch.since < SILENT_MS
}

/** Returns the start time of a process, which distinguishes it from a later process with the same pid; null if it has ended. */
function startOf(pid) {
  try {
    if (process.platform !== 'linux') {
      const [status, ...start] = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
        .trim()
        .split(/ +/)
      return status.startsWith('Z') ? null : start.join(' ') || null
    }
    const [state, ...rest] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
    if (state === 'Z') return null
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${rest[18]}`
  } catch {
    return null
  }
}

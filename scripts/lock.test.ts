import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Program } from '../test/rig/program.ts'
import { lock } from './lock.mjs'

const LOCK = fileURLToPath(new URL('lock.mjs', import.meta.url))

/** Acquires the lock many times; a second holder would find the file `inside`. Is killed with the lock on turn `die`. */
const CONTENDER = `
import { rmSync, writeFileSync } from 'node:fs'
import { lock } from ${JSON.stringify(LOCK)}
const [folder, die] = process.argv.slice(1)
for (let turn = 0; turn < 25; turn++) {
  const release = await lock(folder)
  writeFileSync(folder + '/inside', '', { flag: 'wx' })
  await new Promise(setImmediate)
  rmSync(folder + '/inside')
  if (turn === Number(die)) process.kill(process.pid, 'SIGKILL')
  await release()
}
`

describe('lock', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ponix-lock-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  function contend(die: number): Program {
    return new Program(process.execPath, ['--input-type=module', '-e', CONTENDER, folder, String(die)])
  }

  it('one process at a time holds the lock, even if holders are killed', async () => {
    const runs = [contend(-1), contend(7), contend(-1), contend(13), contend(-1)]
    const ends = await Promise.all(runs.map((run) => run.outcome))
    expect(ends.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      [0, 'SIGKILL', 0, 'SIGKILL', 0].map((code) => ({ code, stderr: '' })),
    )
  })

  it('lock() does not wait if onHeld returns false; onHeld receives the pid of the holder', async () => {
    const release = await lock(folder)
    const holders: number[] = []
    const onHeld = (pid: number): boolean => {
      holders.push(pid)
      return false
    }
    expect(await lock(folder, { onHeld })).toBeUndefined()
    expect(holders).toEqual([process.pid])
    await release?.()
    expect(await lock(folder, { onHeld })).toBeTypeOf('function')
  })

  it('lock() stops waiting when the signal aborts', async () => {
    await lock(folder)
    const abort = new AbortController()
    const waiting = lock(folder, {
      signal: abort.signal,
      onHeld() {
        abort.abort(new Error('stop waiting'))
        return true
      },
    })
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
  })
})

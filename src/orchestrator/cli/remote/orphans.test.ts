import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import type { ChildRig } from '../../../../test/rig/orchestrator/steerable-child.ts'
import { endInOrder, openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'

// After kill -9 of the orchestrator and of its guard, nothing stops the processes by itself.

let program: CommandLine
beforeAll(() => {
  program = new CommandLine()
})
afterAll(() => program.dispose())

//  web ── db
async function killedRun(rig: ChildRig) {
  program.writeConfig({ processes: { web: { ...rig.program('web'), depends_on: ['db'] }, db: rig.program('db') } })
  const running = program.start()
  const [db, web] = [await rig.nextStart('db'), await rig.nextStart('web')]
  await Promise.all([db.keep('SIGTERM'), web.keep('SIGTERM')])
  await running.seen(/both processes are ready/)
  await expect.poll(() => program.guards()).toHaveLength(1)
  // A suspended orchestrator starts no other guard.
  running.child.kill('SIGSTOP')
  for (const guard of program.guards()) process.kill(guard, 'SIGKILL')
  await running.kill()
  const pid = running.child.pid ?? 0
  return { db, web, pid }
}

describe('a run whose orchestrator and guard were killed (O-38)', () => {
  test('is shown by ls and named by commands, and down stops its processes, dependents first', async () => {
    const rig = await openRig()
    const { db, web, pid } = await killedRun(rig)
    const path = join(program.folder, 'commonplace.json')
    const { stdout, code } = await program.run('ls')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ +- {2}\d{4}-\S+ \S+ {2}orphaned {2}\S+commonplace\.json$/m)
    const left = `pid ${pid} was killed, and 2 of its processes still run; stop them with:`
    expect(stdout).toContain(`${path}: ${left} ponix-orchestrator down\n`)
    expect(JSON.parse((await program.run('ls', '--json')).stdout)).toEqual({
      orchestrators: [],
      orphaned: [{ config: path, pid, since: expect.any(String), processes: 2 }],
    })
    expect(await program.run('status')).toEqual({
      code: 3,
      stdout: '',
      stderr: `ponix-orchestrator: no orchestrator runs commonplace.json: ${left} ponix-orchestrator down\n`,
    })
    const down = program.run('down')
    await endInOrder(web, db)
    expect(await down).toEqual({
      code: 0,
      stdout: 'everything is stopped\n',
      stderr: [
        `the orchestrator (pid ${pid}) was killed; stopping the processes that it has left, dependents first`,
        `stopped orphans of web from the previous run (${web.pid})`,
        `stopped orphans of db from the previous run (${db.pid})`,
      ]
        .map((line) => `ponix-orchestrator: ${line}\n`)
        .join(''),
    })
    expect((await program.run('ls')).stdout).toBe('no orchestrator runs\n')
    expect(program.runFolders()).toEqual([])
    expect((await program.run('down')).code).toBe(3)
  })

  test('is stopped without an order if its file is gone', async () => {
    const rig = await openRig()
    const { db, web } = await killedRun(rig)
    program.remove('commonplace.json')
    const down = program.run('down')
    expect(await Promise.all([db.nextSignal(), web.nextSignal()])).toEqual(['SIGTERM', 'SIGTERM'])
    await Promise.all([db.exit(0), web.exit(0)])
    const { code, stderr } = await down
    expect(code).toBe(0)
    expect(stderr).toContain('stopping the processes that it has left, all at the same time: no commonplace.json')
    expect(program.runFolders()).toEqual([])
  })
})

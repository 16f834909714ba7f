import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import type { Program } from '../../../../test/rig/program.ts'
import { taggedProcesses } from '../../supervisor/system/process-table.ts'
import { endInOrder, openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'

// After kill -9 of the orchestrator, only its guard can stop the processes.

let program: CommandLine
beforeAll(() => {
  program = new CommandLine()
})
afterAll(() => program.dispose())

function startWith(processes: object): Program {
  program.writeConfig({ processes })
  return program.start()
}

const guards = () => program.guards()

/** Resolves when the guard answers; then it has the stop plan of all processes. */
async function untilGuarded(): Promise<void> {
  expect((await program.run('status')).code).toBe(0)
}

const patience = { interval: 10, timeout: 15_000 }

describe('the guard (O-38)', () => {
  //  web ── db
  test('stops all processes, dependents first, after kill -9 of the orchestrator', async () => {
    const rig = await openRig()
    const running = startWith({ web: { ...rig.program('web'), depends_on: ['db'] }, db: rig.program('db') })
    const [db, web] = [await rig.nextStart('db'), await rig.nextStart('web')]
    await Promise.all([db.keep('SIGTERM'), web.keep('SIGTERM')])
    await running.seen(/both processes are ready/)
    await untilGuarded()
    await running.kill()
    await endInOrder(web, db)
    await expect.poll(guards, patience).toEqual([])
  })

  //  api ── migrate (completed) ── db
  test('stops a dependency last even if only a completed task depends on it', async () => {
    const rig = await openRig()
    const running = startWith({
      api: { ...rig.program('api'), depends_on: ['migrate'] },
      migrate: { kind: 'task', command: 'true', depends_on: ['db'] },
      db: rig.program('db'),
    })
    const [db, api] = [await rig.nextStart('db'), await rig.nextStart('api')]
    await Promise.all([db.keep('SIGTERM'), api.keep('SIGTERM')])
    await running.seen(/all 3 processes are ready/)
    await untilGuarded()
    await running.kill()
    await endInOrder(api, db)
    await expect.poll(guards, patience).toEqual([])
  })

  test('keeps running after kill -9 of the whole process group of the orchestrator', async () => {
    const rig = await openRig()
    const running = startWith({ a: rig.program('a') })
    const a = await rig.nextStart('a')
    await running.seen(/process is ready/)
    running.signalGroup('SIGKILL')
    await a.gone
    await expect.poll(guards, patience).toEqual([])
  })

  test('kills processes that ignore their signal, and finds those that left their group', async () => {
    const rig = await openRig()
    const running = startWith({ a: { ...rig.program('a'), shutdown: { timeout_ms: 50 } } })
    const a = await rig.nextStart('a')
    await a.keep('SIGTERM')
    await a.fork('daemon', { session: true })
    const daemon = await rig.nextStart('daemon')
    await running.seen(/process is ready/)
    await running.kill()
    await Promise.all([a.gone, daemon.gone])
    await expect.poll(guards, patience).toEqual([])
  })

  test('delays a new start until it has finished, so that nothing runs twice', async () => {
    const rig = await openRig()
    const running = startWith({ a: rig.program('a') })
    const first = await rig.nextStart('a')
    await first.keep('SIGTERM')
    await running.seen(/process is ready/)
    await running.kill()
    const next = program.start()
    await next.seen(/the previous run \(pid \d+\) was killed; waiting until its processes are stopped/)
    expect(await first.nextSignal()).toBe('SIGTERM')
    expect(rig.starts('a')).toBe(1)
    await first.exit(0)
    await rig.nextStart('a')
    next.signal('SIGINT')
    expect((await next.outcome).code).toBe(0)
    await expect.poll(guards, patience).toEqual([])
  })

  test('stops all processes even if the parent of the killed orchestrator never reaps it, and a new start is possible', async () => {
    const rig = await openRig()
    program.writeConfig({ processes: { a: rig.program('a') } })
    const parent = program.startShell(`'${process.execPath}' '${program.path}' & exec sleep 1000`)
    const first = await rig.nextStart('a')
    await parent.seen(/process is ready/)
    await untilGuarded()
    const listed: unknown = JSON.parse((await program.run('ls', '--json')).stdout)
    const { orchestrators } = z.object({ orchestrators: z.array(z.object({ pid: z.int() })) }).parse(listed)
    const [{ pid } = { pid: 0 }] = orchestrators
    await first.keep('SIGTERM')
    process.kill(pid, 'SIGKILL')
    expect(await first.nextSignal()).toBe('SIGTERM')
    expect(readFileSync(`/proc/${pid}/stat`, 'latin1')).toMatch(/\) Z /)
    expect(JSON.parse((await program.run('ls', '--json')).stdout)).toMatchObject({
      orchestrators: [],
      orphaned: [{ pid, processes: 1 }],
    })
    expect(await program.run('status')).toMatchObject({ code: 3, stderr: expect.stringContaining('was killed') })
    const next = program.start()
    await next.seen(/the previous run \(pid \d+\) was killed; waiting until its processes are stopped/)
    await first.exit(0)
    await rig.nextStart('a')
    next.signal('SIGINT')
    expect((await next.outcome).code).toBe(0)
    await expect.poll(guards, patience).toEqual([])
  })

  test('is replaced when it is killed', async () => {
    const rig = await openRig()
    const running = startWith({ a: rig.program('a') })
    const a = await rig.nextStart('a')
    await running.seen(/process is ready/)
    for (const guard of guards()) process.kill(guard, 'SIGKILL')
    await running.seen(/the guard, .* exited; starting another/)
    await expect.poll(guards, patience).toHaveLength(1)
    await untilGuarded()
    await running.kill()
    await a.gone
    await expect.poll(guards, patience).toEqual([])
  })

  test('the next start reaps the orphans if guard and orchestrator are killed together', async () => {
    const rig = await openRig()
    const running = startWith({ a: rig.program('a') })
    const first = await rig.nextStart('a')
    await running.seen(/process is ready/)
    await expect.poll(guards, patience).toHaveLength(1)
    await untilGuarded()
    running.child.kill('SIGSTOP')
    for (const guard of guards()) process.kill(guard, 'SIGKILL')
    await running.kill()
    const next = program.start()
    await next.seen(new RegExp(`stopped orphans of a from the previous run \\(${first.pid}\\)`))
    await first.gone
    await rig.nextStart('a')
    next.signal('SIGINT')
    expect((await next.outcome).code).toBe(0)
  })

  test('leaves no guard, no record and no process behind after a regular stop', async () => {
    const rig = await openRig()
    const running = startWith({ unlike_any_other: rig.program('a') })
    await rig.nextStart('a')
    running.signal('SIGINT')
    expect((await running.outcome).code).toBe(0)
    expect(guards()).toEqual([])
    expect(readdirSync(program.folder, { recursive: true })).not.toContainEqual(expect.stringContaining('run.json'))
    expect(taggedProcesses('').filter(({ runTag }) => runTag.endsWith('/unlike_any_other'))).toEqual([])
  })
})

describe('the second orchestrator on one file', () => {
  test('exits with 2, names the first and does not affect it', async () => {
    const rig = await openRig()
    const running = startWith({ a: rig.program('a') })
    const a = await rig.nextStart('a')
    await running.seen(/process is ready/)
    const second = await program.run()
    expect(second).toMatchObject({ code: 2, stdout: '' })
    expect(second.stderr).toMatch(
      new RegExp(
        `^ponix-orchestrator: \\S+commonplace.json is already run by another ponix-orchestrator \\(pid ${running.child.pid}\\); .*\n$`,
      ),
    )
    expect(a.isGone).toBe(false)
    running.signal('SIGINT')
    expect((await running.outcome).code).toBe(0)
    expect(rig.starts('a')).toBe(1)
  })

  test('is rejected with the message that the first is stopping, which keeps the time of its start', async () => {
    const rig = await openRig()
    const running = startWith({ a: rig.program('a') })
    const a = await rig.nextStart('a')
    await a.keep('SIGTERM')
    await running.seen(/process is ready/)
    const before = (await program.run('ls', '--json')).stdout
    running.signal('SIGINT')
    expect(await a.nextSignal()).toBe('SIGTERM')
    const message = `commonplace.json is stopping (pid ${running.child.pid}); try again when it has ended\n`
    for (const args of [[], ['run', '--detach']]) {
      const second = await program.run(...args)
      expect(second).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) })
    }
    expect(sinceOf((await program.run('ls', '--json')).stdout)).toBe(sinceOf(before))
    await a.exit(0)
    expect((await running.outcome).code).toBe(0)
  })
})

/** Returns the start of the only run that `ls --json` lists. */
function sinceOf(json: string): string {
  const answer = z.object({ orchestrators: z.tuple([z.object({ since: z.string() })]) })
  return answer.parse(JSON.parse(json)).orchestrators[0].since
}

import { describe, expect, test } from 'vitest'
import { controlCommands, echo, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'

const control = controlCommands()
const { begin, start, status } = control

/** A process that never stays up, so that the graph is never ready as a whole. */
const crashing = { command: 'exit 1', shell: true, restart: { backoff_ms: 60_000, max_backoff_ms: 60_000 } }
const withNotify = { readiness_probe: { notify: true } }

const configure = (processes: object) => control.program.writeConfig({ processes })
const command = (...args: readonly string[]) => control.program.run(...args)

/** Starts `a` and a worker that crashes; resolves when both have started. */
async function beginWithCrashingWorker(processes: object) {
  const started = begin({ a: sleeper, worker: crashing, ...processes })
  await started.seen(/worker: restarts in 1 min/)
  return { started, before: (await status())['a']?.pid }
}

describe('a failure that a command causes concerns only its process (O-39)', () => {
  test.each([
    ['a cwd that does not exist', { ...sleeper, cwd: 'nowhere' }, /its cwd ".*nowhere" does not exist/],
    ['a command that is missing', { command: 'no-such-program' }, /"no-such-program" was not found on PATH/],
    ['a task that fails', { kind: 'task', command: 'exit 3', shell: true }, /exited with code 3/],
  ])('reload that brings %s', async (_title, bad, reason) => {
    const { started, before } = await beginWithCrashingWorker({})
    configure({ a: sleeper, worker: crashing, bad, after: { ...sleeper, depends_on: ['bad'] } })
    const { code, stdout, stderr } = await command('reload')
    expect({ code, stdout }).toEqual({ code: 1, stdout: 'added: bad, after\n' })
    expect(stderr).toMatch(new RegExp(`^ponix-orchestrator: bad failed: ${reason.source}`, 'm'))
    expect(stderr).toMatch(/^ponix-orchestrator: after was skipped because "bad" /m)
    expect(await status()).toMatchObject({
      a: { state: 'running', pid: before },
      bad: { state: 'failed', reason: expect.stringMatching(reason) },
      after: { state: 'skipped' },
    })
    expect(started.stderr).not.toContain('stopping everything')
  })

  test.each(['start', 'restart'])('%s of a task that fails', async (verb) => {
    const rig = await openRig()
    const migrate = { kind: 'task', ...rig.program('migrate') }
    const started = begin({ a: sleeper, worker: crashing, migrate })
    await (await rig.nextStart('migrate')).exit(0)
    await started.seen(/migrate: completed/)
    await started.seen(/worker: restarts in/)
    const before = (await status())['a']?.pid
    const answered = command(verb, 'migrate')
    await (await rig.nextStart('migrate')).exit(3)
    const { code, stdout, stderr } = await answered
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'ponix-orchestrator: migrate failed: exited with code 3\n',
    })
    expect(stdout).toBe('')
    expect((await status())['a']).toMatchObject({ state: 'running', pid: before })
    expect(started.stderr).not.toContain('stopping everything')
  })

  test('restart of a service that exits again before it is ready', async () => {
    const rig = await openRig()
    await beginWithCrashingWorker({ web: { ...rig.program('web'), ...withNotify } })
    await (await rig.nextStart('web')).notify()
    await expect.poll(async () => (await status())['web']?.ready).toBe(true)
    const answered = command('restart', 'web')
    await (await rig.nextStart('web')).exit(4)
    expect(await answered).toMatchObject({
      code: 1,
      stderr: 'ponix-orchestrator: web failed: exited with code 4; it will be restarted\n',
    })
  })

  test('start and restart of a process whose program is gone answer with the new reason', async () => {
    const rig = await openRig()
    const { command: node, args, env } = rig.program('tool')
    const tool = { command: './tool', env, args }
    control.program.link('tool', node)
    await start({ a: sleeper, tool })
    await rig.nextStart('tool')
    control.program.remove('tool')
    for (const verb of ['restart', 'start']) {
      const { code, stderr } = await command(verb, 'tool')
      expect(code).toBe(1)
      expect(stderr).toMatch(/^ponix-orchestrator: tool failed: ".\/tool" was not found/)
      const { tool: shown, a } = await status()
      expect(shown).toMatchObject({ state: 'failed', reason: expect.stringContaining('"./tool" was not found') })
      expect(a).toMatchObject({ state: 'running' })
    }
  })

  test('ends everything only with when_failed: stop', async () => {
    const { started } = await beginWithCrashingWorker({})
    const bad = { command: 'no-such-program', when_failed: 'stop' }
    configure({ a: sleeper, worker: crashing, bad })
    await command('reload')
    expect((await started.outcome).code).toBe(1)
    expect(started.stderr).toContain('stopping everything: "bad" failed permanently\n')
    expect(started.stderr.split('"no-such-program" was not found')).toHaveLength(2)
  })

  test('keeps the orchestrator running although no other process is left, so that the file can be corrected', async () => {
    const started = await start({ web: sleeper })
    configure({ web: { ...sleeper, cwd: 'nowhere' } })
    expect((await command('reload')).code).toBe(1)
    expect((await status())['web']).toMatchObject({ state: 'failed' })
    configure({ web: sleeper })
    expect(await command('reload')).toEqual({ code: 0, stdout: 'changed: web\n', stderr: '' })
    expect((await status())['web']).toMatchObject({ state: 'running' })
    started.signal('SIGTERM')
    expect((await started.outcome).code).toBe(0)
  })

  //  web ── migrate (task)
  test('a reload that corrects a failed task starts the processes that were skipped because of it', async () => {
    const job = (code: number) => ({ kind: 'task', command: `exit ${code}`, shell: true })
    const web = { ...sleeper, depends_on: ['migrate'] }
    await start({ a: sleeper })
    configure({ a: sleeper, migrate: job(3), web })
    expect((await command('reload')).code).toBe(1)
    configure({ a: sleeper, migrate: job(0), web })
    expect(await command('reload')).toEqual({ code: 0, stdout: 'changed: migrate\n', stderr: '' })
    expect(await status()).toMatchObject({ migrate: { state: 'completed' }, web: { state: 'running' } })
  })

  test('SIGHUP reports the failures in one line', async () => {
    const { started } = await beginWithCrashingWorker({})
    configure({ a: sleeper, worker: crashing, bad: { kind: 'task', command: 'exit 3', shell: true } })
    started.signal('SIGHUP')
    await started.seen(/after the reload, bad failed: exited with code 3\n/)
    expect((await status())['a']).toMatchObject({ state: 'running' })
  })
})

describe('reload answers when everything that it starts is settled (O-39)', () => {
  test('waits until a process is ready, through its restarts', async () => {
    const rig = await openRig()
    await start({ a: sleeper })
    configure({ a: sleeper, web: { ...rig.program('web'), ...withNotify, restart: { backoff_ms: 0 } } })
    const reload = control.program.start('reload')
    await (await rig.nextStart('web')).exit(1)
    const web = await rig.nextStart('web')
    await expect.poll(async () => (await status())['web']?.state).toBe('running')
    expect(reload.hasEnded).toBe(false)
    await web.notify()
    expect(await reload.outcome).toEqual({ code: 0, stdout: 'added: web\n', stderr: '' })
  })

  //  web ── db
  test('does not wait for a process whose dependency was stopped manually', async () => {
    const web = { ...sleeper, depends_on: ['api'] }
    const api = { ...sleeper, depends_on: ['db'] }
    await start({ db: sleeper, api, web })
    await command('stop', 'db')
    const env = { NEW: 'yes' }
    configure({ db: sleeper, api: { ...api, env }, web: { ...web, env } })
    expect(await command('reload')).toMatchObject({ code: 0, stdout: 'changed: api, web\n' })
    expect(await status()).toMatchObject({ api: { state: 'waiting' }, web: { state: 'waiting' } })
  })

  test('a slow start does not delay a correcting reload, which the first one reports', async () => {
    const rig = await openRig()
    await start({ a: sleeper })
    configure({ a: sleeper, web: { ...rig.program('web'), ...withNotify } })
    const first = control.program.start('reload')
    const slow = await rig.nextStart('web')
    await expect.poll(async () => (await status())['web']?.state).toBe('running')
    configure({ a: sleeper, web: echo('corrected') })
    expect(await command('reload')).toEqual({ code: 0, stdout: 'changed: web\n', stderr: '' })
    expect(slow.isGone).toBe(true)
    expect(await first.outcome).toEqual({
      code: 1,
      stdout: 'added: web\n',
      stderr: 'ponix-orchestrator: web was changed by a later reload before it was up\n',
    })
  })

  test.each([
    ['another reload removes', ['reload'], 'was removed by a later reload or scale'],
    ['a command stops', ['stop', 'web'], 'was stopped by another command'],
    ['a command restarts', ['restart', 'web'], 'was restarted'],
    ['down stops', ['down'], 'was stopped with all others'],
  ])('reports a process that %s before it is up', async (_what, args, because) => {
    const rig = await openRig()
    await start({ a: sleeper })
    configure({ a: sleeper, web: { ...rig.program('web'), ...withNotify } })
    const first = control.program.start('reload')
    await rig.nextStart('web')
    await expect.poll(async () => (await status())['web']?.state).toBe('running')
    configure({ a: sleeper })
    const second = command(...args)
    const stderr = `ponix-orchestrator: web ${because} before it was up\n`
    expect(await first.outcome).toEqual({ code: 1, stdout: 'added: web\n', stderr })
    if (args[0] === 'restart') await (await rig.nextStart('web')).notify()
    expect((await second).code).toBe(0)
  })

  test('a reload that is requested while another one stops processes follows it', async () => {
    const rig = await openRig()
    const started = await start({ a: sleeper, old: rig.program('old') })
    const old = await rig.nextStart('old')
    await old.keep('SIGTERM')
    configure({ a: sleeper, first: sleeper })
    const first = command('reload')
    expect(await old.nextSignal()).toBe('SIGTERM')
    configure({ a: sleeper, first: sleeper, second: sleeper })
    started.signal('SIGHUP')
    const second = command('reload')
    await expect.poll(async () => (await status())['old']?.state).toBe('stopping')
    await old.exit(0)
    expect((await first).stdout).toBe('added: first; removed: old\n')
    expect((await second).code).toBe(0)
    expect(await status()).toMatchObject({ first: { state: 'running' }, second: { state: 'running' } })
  })
})

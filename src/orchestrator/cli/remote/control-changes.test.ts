import { describe, expect, test } from 'vitest'
import type { Program } from '../../../../test/rig/program.ts'
import { controlCommands, echo, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'

const control = controlCommands()
const { begin, start, status } = control

describe('stop, start and restart (O-9)', () => {
  test('a manually stopped process stays stopped until it is started, regardless of its restart policy', async () => {
    const rig = await openRig()
    const running = await start({ a: rig.program('a'), b: sleeper })
    const first = await rig.nextStart('a')
    expect((await control.program.run('stop', 'a')).code).toBe(0)
    expect(first.isGone).toBe(true)
    expect((await status())['a']).toMatchObject({ state: 'stopped', pid: null, ready: false })
    expect((await control.program.run('start', 'a')).code).toBe(0)
    await rig.nextStart('a')
    expect((await status())['a']).toMatchObject({ state: 'running', restarts: 0 })
    expect((await control.program.run('restart', 'a')).code).toBe(0)
    await expect.poll(() => running.outputLines.filter((line) => line.includes('a: started again'))).toHaveLength(2)
  })

  test('the orchestrator keeps running when all processes are stopped manually', async () => {
    await start({ a: sleeper })
    await control.program.run('stop', 'a')
    expect((await status())['a']).toMatchObject({ state: 'stopped' })
    expect(await control.program.run('start', 'a')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^a: started \(pid \d+\)\n$/),
    })
  })

  //  web ── db
  test('restart stops dependents first and starts them last', async () => {
    const rig = await openRig()
    await start({ db: rig.program('db'), web: { ...rig.program('web'), depends_on: ['db'] } })
    const [db, web] = [await rig.nextStart('db'), await rig.nextStart('web')]
    await Promise.all([db.keep('SIGTERM'), web.keep('SIGTERM')])
    const restarted = control.program.run('restart', 'db', 'web')
    expect(await web.nextSignal()).toBe('SIGTERM')
    expect(db.isGone).toBe(false)
    await web.exit(0)
    expect(await db.nextSignal()).toBe('SIGTERM')
    await db.exit(0)
    await rig.nextStart('db')
    await rig.nextStart('web')
    expect((await restarted).code).toBe(0)
  })

  //  web ── db
  test('stop stops only the named processes, and start does not wait for manually stopped ones', async () => {
    await start({ db: sleeper, web: { ...sleeper, depends_on: ['db'] } })
    expect(await control.program.run('stop', 'db')).toEqual({
      code: 0,
      stdout: 'db: stopped\nweb depends on it and keeps running\n',
      stderr: '',
    })
    expect(await status()).toMatchObject({ db: { state: 'stopped' }, web: { state: 'running' } })
    await control.program.run('stop', 'web')
    expect((await control.program.run('start', 'web')).stdout).toBe(
      'web: waiting for db: stopped; "ponix-orchestrator start db" starts it\n',
    )
    expect((await control.program.run('restart', 'web')).stdout).toMatch(/^web: waiting for db/)
    await control.program.run('start', 'db')
    await expect.poll(async () => (await status())['web']?.state, { timeout: 15_000 }).toBe('running')
  })

  test('start runs ended processes again and ends a backoff', async () => {
    const rig = await openRig()
    const restart = { policy: 'on_failure', backoff_ms: 60_000, max_backoff_ms: 60_000 }
    const started = begin({ job: { ...rig.program('job'), kind: 'task', restart }, b: sleeper })
    const job = await rig.nextStart('job')
    await job.exit(1)
    await started.seen(/job: restarts in 1 min/)
    const restarted = control.program.run('start', 'job')
    const second = await rig.nextStart('job')
    await second.exit(0)
    expect((await restarted).stdout).toBe('job: completed\n')
    const again = control.program.run('start', 'job')
    await (await rig.nextStart('job')).exit(0)
    expect((await again).code).toBe(0)
  })

  test('an unknown name prints one line with the nearest name and changes nothing', async () => {
    await start({ store: sleeper, web: sleeper })
    const { code, stderr } = await control.program.run('stop', 'web', 'stoer')
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'ponix-orchestrator: unknown process "stoer"; did you mean "store"?\n',
    })
    expect((await status())['web']).toMatchObject({ state: 'running' })
  })

  test('start of a process that fails exits with 1', async () => {
    const bad = {
      command: 'exit 9',
      shell: true,
      restart: { policy: 'never' },
      readiness_probe: { log_line: 'never' },
    }
    await begin({ bad, b: sleeper }).seen(/bad: failed permanently/)
    expect(await control.program.run('start', 'bad')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'ponix-orchestrator: bad failed: exited with code 9\n',
    })
  })
})

describe('reload (O-39)', () => {
  test('starts added processes, stops removed ones, restarts changed ones, and does not touch the others', async () => {
    const rig = await openRig()
    await start({ same: rig.program('same'), gone: rig.program('gone'), other: rig.program('other') })
    const [same, gone, other] = [await rig.nextStart('same'), await rig.nextStart('gone'), await rig.nextStart('other')]
    const changed = rig.program('other')
    control.program.writeConfig({
      processes: {
        same: rig.program('same'),
        other: { ...changed, env: { ...changed.env, NEW: 'yes' } },
        added: rig.program('added'),
      },
    })
    expect(await control.program.run('reload')).toEqual({
      code: 0,
      stdout: 'added: added; removed: gone; changed: other\n',
      stderr: '',
    })
    await Promise.all([gone.gone, other.gone])
    await rig.nextStart('added')
    expect((await (await rig.nextStart('other')).environment())['NEW']).toBe('yes')
    expect(same.isGone).toBe(false)
    expect(Object.keys(await status())).toEqual(['same', 'other', 'added'])
    expect(rig.starts('same')).toBe(1)
  })

  test('reports an invalid file and changes nothing', async () => {
    await start({ a: sleeper })
    const before = (await status())['a']
    control.program.writeConfig('{"processes": {"a": {"comand": "x"}}}')
    const { code, stderr } = await control.program.run('reload')
    expect(code).toBe(1)
    expect(stderr).toContain('unknown key; did you mean "command"?')
    expect((await status())['a']?.pid).toBe(before?.pid)
  })

  test('happens on SIGHUP', async () => {
    const { signal, seen } = bind(await start({ a: sleeper }))
    control.program.writeConfig({ processes: { a: sleeper, b: echo('I am new') } })
    signal('SIGHUP')
    await seen(/configuration reloaded: added b/)
    await seen(/I am new/)
    control.program.writeConfig('{')
    signal('SIGHUP')
    await seen(/reload rejected: commonplace.json:1:2: /)
    expect(await status()).toMatchObject({ a: { state: 'running' }, b: { state: 'running' } })
  })

  test('leaves a manually stopped process stopped', async () => {
    await start({ a: sleeper, b: sleeper })
    await control.program.run('stop', 'a', 'b')
    control.program.writeConfig({ processes: { a: sleeper, b: { ...sleeper, env: { NEW: 'yes' } } } })
    expect((await control.program.run('reload')).stdout).toBe('changed: b\n')
    expect(await status()).toMatchObject({ a: { state: 'stopped' }, b: { state: 'stopped' } })
  })
})

describe('down (O-9)', () => {
  test('stops all processes in order, then the orchestrator, which exits with 0', async () => {
    const started = await start({ db: sleeper, web: { ...sleeper, depends_on: ['db'] } })
    expect(await control.program.run('down')).toEqual({ code: 0, stdout: 'everything is stopped\n', stderr: '' })
    const { code, stderr } = await started.outcome
    expect(code).toBe(0)
    expect(stderr.indexOf('web: stopped')).toBeLessThan(stderr.indexOf('db: stopping'))
    expect((await control.program.run('status')).code).toBe(3)
  })
})

function bind(program: Program) {
  return {
    signal: (signal: NodeJS.Signals) => program.signal(signal),
    seen: (pattern: RegExp) => program.seen(pattern),
  }
}

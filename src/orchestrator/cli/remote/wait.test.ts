import { describe, expect, test } from 'vitest'
import { controlCommands, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { requestWait } from '../../../../test/rig/orchestrator/wait-request.ts'

const control = controlCommands()
const { begin, start } = control
const run = (...args: readonly string[]) => control.program.run(...args)
const notified = { readiness_probe: { notify: true } }
const failure = (message: string) => ({ code: 1, stdout: '', stderr: `ponix-orchestrator: ${message}\n` })

/** Resolves when the orchestrator accepts commands. */
const untilListening = async () => expect((await run('status')).code).toBe(0)

describe('the command wait (O-45)', () => {
  test('ends with 0 when the processes are ready, without names all of them', async () => {
    const rig = await openRig()
    begin({ api: { ...rig.program('api'), ...notified }, db: sleeper })
    const api = await rig.nextStart('api')
    const waits = [run('wait'), run('wait', 'api', 'db'), run('wait', 'a*', '--json')]
    await untilListening()
    await api.notify()
    const [all, named, json] = await Promise.all(waits)
    expect(all).toEqual({ code: 0, stdout: 'api, db are ready\n', stderr: '' })
    expect(named).toEqual(all)
    expect(json?.code).toBe(0)
    expect(JSON.parse(json?.stdout ?? '')).toEqual({
      outcome: 'met',
      processes: [{ name: 'api', outcome: 'met', because: null }],
    })
  })

  test('--for completed waits for the end of the tasks', async () => {
    const rig = await openRig()
    begin({ job: { ...rig.program('job'), kind: 'task' }, api: sleeper })
    const job = await rig.nextStart('job')
    const waits = [run('wait', '--for', 'completed'), run('wait', 'job', '--for=completed')]
    await untilListening()
    await job.exit(0)
    expect(await Promise.all(waits)).toEqual(waits.map(() => ({ code: 0, stdout: 'job is completed\n', stderr: '' })))
  })

  test('--for completed rejects a service that restarts after every exit, and says what to do', async () => {
    await start({ api: sleeper })
    expect(await run('wait', 'api', '--for', 'completed')).toEqual(
      failure(
        'cannot become completed: api (restarts after every exit: wait until it is ready, or set "kind": "task" or ' +
          '"restart": {"policy": "on_failure"})',
      ),
    )
  })

  test('is answered at the end of the last task, after which the orchestrator ends', async () => {
    const rig = await openRig()
    begin({ job: { ...rig.program('job'), kind: 'task' } })
    const job = await rig.nextStart('job')
    await untilListening()
    const { answer } = await requestWait(control.program, { process: 'job', for: 'completed' })
    await job.exit(0)
    expect((await answer).outcome).toBe('met')
  })

  test('ends with 1 and the reason as soon as a process can no longer be ready', async () => {
    const rig = await openRig()
    const restart = { policy: 'never' }
    begin({ api: { ...rig.program('api'), ...notified, restart }, db: sleeper })
    const api = await rig.nextStart('api')
    const waited = run('wait', 'api', 'db')
    await untilListening()
    await api.exit(7)
    expect(await waited).toEqual(failure('cannot become ready: api (failed: exited with code 7)'))
    await run('stop', 'db')
    expect(await run('wait', 'db')).toEqual(failure('cannot become ready: db (stopped)'))
  })

  test('--timeout ends with 1 and names the processes that are not ready, and why', async () => {
    const probe = { readiness_probe: { log_line: 'never' } }
    await begin({
      api: { ...sleeper, depends_on: ['db'] },
      db: { ...sleeper, ...probe },
      web: { ...sleeper, readiness_probe: { exec: 'true' } },
    }).seen(/web: ready/)
    const { code, stdout, stderr } = await run('wait', '--timeout', '300ms')
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(
      /^ponix-orchestrator: not ready after 300 ms: api \(waiting for db: .*\), db \(.*log_line.*\)\n$/,
    )
    expect(stderr).not.toContain('web')
  })

  test('continues through restarts and reloads', async () => {
    const rig = await openRig()
    const api = { ...rig.program('api'), ...notified }
    begin({ api })
    const first = await rig.nextStart('api')
    await untilListening()
    const waited = run('wait', 'api')
    await first.exit(1)
    const second = await rig.nextStart('api')
    control.program.writeConfig({ processes: { api: { ...api, env: { ...api.env, NEW: 'yes' } } } })
    const reloaded = run('reload')
    await second.gone
    const third = await rig.nextStart('api')
    await third.notify()
    expect(await waited).toEqual({ code: 0, stdout: 'api is ready\n', stderr: '' })
    await reloaded
  })

  test('is answered with the reason when a reload removes the process or everything stops', async () => {
    const probe = { readiness_probe: { log_line: 'never' } }
    const running = begin({ api: { ...sleeper, ...probe }, web: { ...sleeper, ...probe } })
    await running.seen(/started/)
    await untilListening()
    const [api, web] = [
      await requestWait(control.program, { process: 'api' }),
      await requestWait(control.program, { process: 'web' }),
    ]
    control.program.writeConfig({ processes: { web: { ...sleeper, ...probe } } })
    running.signal('SIGHUP')
    const never = (name: string, because: string) => ({
      outcome: 'never',
      processes: [{ name, outcome: 'never', because }],
    })
    expect(await api.answer).toEqual(never('api', 'removed by a reload or scale'))
    running.signal('SIGTERM')
    expect(await web.answer).toEqual(never('web', 'stopped'))
  })

  test('rejects unknown names and invalid options with one line', async () => {
    await start({ api: sleeper })
    expect(await run('wait', 'apo')).toEqual(failure('unknown process "apo"; did you mean "api"?'))
    expect(await run('wait', '--timeout', 'soon')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--timeout "soon": expected a duration'),
    })
    expect(await run('wait', '--timeout', '3')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^ponix-orchestrator: --timeout "3": .*; did you mean "3s"\?\n$/),
    })
    expect((await run('wait', '--for', 'healthy')).code).toBe(2)
  })
})

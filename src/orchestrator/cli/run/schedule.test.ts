import { describe, expect, test } from 'vitest'
import { controlCommands, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { requestWait } from '../../../../test/rig/orchestrator/wait-request.ts'
import { freePort } from '../../../../test/rig/servers.ts'

const control = controlCommands()
const { begin, start, status } = control
const task = { kind: 'task', command: 'true' }

describe('schedule', () => {
  test('status shows the next run, and "start" runs the task immediately', async () => {
    await start({ web: sleeper, backup: { ...task, schedule: '0 0 1 1 *' } })
    const next = new Date(new Date().getFullYear() + 1, 0, 1)
    expect(await status()).toMatchObject({
      web: { next_run: null },
      backup: { state: 'scheduled', ready: true, next_run: next.toISOString() },
    })
    expect((await control.program.run('status')).stdout).toMatch(
      /^backup +scheduled .*next run at \d{4}-01-01 00:00:00$/m,
    )
    expect((await control.program.run('start', 'backup')).code).toBe(0)
    expect((await status())['backup']).toMatchObject({ state: 'completed', exit_code: 0, next_run: next.toISOString() })
    await control.program.run('restart', 'all')
    expect((await status())['backup']).toMatchObject({ restarts: 0 })
  })

  test('a file with schedules alone runs until it is stopped', async () => {
    const running = begin({ tick: { ...task, schedule: '* * * * * *' } })
    await running.seen(/ready; tasks run at the times of their schedules/)
    await running.seen(/tick: runs next at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n/)
    await running.seen(/tick: completed[^]*tick: completed/)
    expect(await running.stop()).toBe(0)
  })

  test('a failed run is reported with the next one, and the task keeps its schedule', async () => {
    const running = begin({ tick: { kind: 'task', command: 'false', schedule: '* * * * * *' } })
    await running.seen(
      /tick: run failed: exited with code 1; next run at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n[^]*tick: run failed/,
    )
    expect(running.stderr).not.toContain('failed permanently')
    expect(await running.stop()).toBe(0)
  })

  test('its failed run is no failure of the stack: wait, ls and metrics count the task as ready (O-45)', async () => {
    const { program } = control
    const rig = await openRig()
    const port = await freePort()
    const job = { ...rig.program('job'), kind: 'task', schedule: '@yearly' }
    program.writeConfig({ control: { http: port }, processes: { web: sleeper, job } })
    await control.run().seen(/ready after/)
    const started = program.run('start', 'job')
    await (await rig.nextStart('job')).exit(3)
    expect(await started).toMatchObject({ code: 1, stderr: 'ponix-orchestrator: job failed: exited with code 3\n' })
    expect((await status())['job']).toMatchObject({
      state: 'failed',
      ready: true,
      reason: 'exited with code 3',
      exit_code: 3,
      last_success: null,
      detail: expect.stringMatching(/^last run failed: exited with code 3; next run at \d{4}-01-01 00:00:00$/),
    })
    expect(await program.run('wait')).toEqual({ code: 0, stdout: 'web, job are ready\n', stderr: '' })
    expect((await program.run('ls')).stdout).toContain('  2/2  ')
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    expect(metrics).toContain('ponix_process_ready{process="job"} 1\n')
    expect(metrics).toContain('ponix_process_restarts_total{process="job"} 0\n')
    expect(metrics).toContain('ponix_process_last_exit_code{process="job"} 3\n')
    expect(metrics).not.toContain('ponix_process_last_success_timestamp_seconds{process="job"}')
  })

  test('run --detach --wait ends with 0 although a run of the schedule has failed', async () => {
    const { program } = control
    const rig = await openRig()
    const web = { ...rig.program('web'), readiness_probe: { notify: true } }
    program.writeConfig({
      processes: { web, tick: { kind: 'task', command: 'false', schedule: '* * * * * *' } },
    })
    const detached = program.run('run', '--detach', '--wait')
    const child = await rig.nextStart('web')
    await expect.poll(async () => (await status())['tick']?.state, { timeout: 5000 }).toBe('failed')
    await child.notify()
    expect(await detached).toMatchObject({ code: 0, stderr: '' })
    expect((await program.run('down')).code).toBe(0)
  })

  test('wait --for completed answers by the next run, or the current one; without names it ignores schedules', async () => {
    const rig = await openRig()
    await start({ web: sleeper, once: task, job: { ...task, ...rig.program('job'), schedule: '* * * * * *' } })
    const run = (...args: readonly string[]) => control.program.run('wait', ...args, '--for', 'completed')
    expect(await run()).toEqual({ code: 0, stdout: 'once is completed\n', stderr: '' })
    const first = await rig.nextStart('job')
    const failing = await requestWait(control.program, { process: 'job', for: 'completed' })
    await first.exit(3)
    expect(await failing.answer).toEqual({
      outcome: 'never',
      processes: [{ name: 'job', outcome: 'never', because: 'failed: exited with code 3' }],
    })
    const second = await rig.nextStart('job')
    const succeeding = await requestWait(control.program, { process: 'job', for: 'completed' })
    await second.exit(0)
    expect((await succeeding.answer).outcome).toBe('met')
    expect((await status())['job']).toMatchObject({ restarts: 0, last_success: expect.any(String) })
  })

  test('a reload adds, changes and removes it', async () => {
    const running = await start({ web: sleeper })
    const reload = async (processes: object) => {
      control.program.writeConfig({ processes })
      expect((await control.program.run('reload')).code).toBe(0)
    }
    await reload({ web: sleeper, tick: { ...task, schedule: '@yearly' } })
    expect((await status())['tick']).toMatchObject({ state: 'scheduled' })
    await reload({ web: sleeper, tick: { ...task, schedule: '* * * * * *' } })
    await running.seen(/tick: completed/)
    await reload({ web: sleeper })
    expect(Object.keys(await status())).toEqual(['web'])
  })
})

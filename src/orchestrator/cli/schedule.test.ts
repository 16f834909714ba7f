import { describe, expect, test } from 'vitest'
import { controlCommands, sleeper } from '../../../test/rig/orchestrator/control-commands.ts'

const control = controlCommands()
const { begin, start, status } = control
const task = { kind: 'task', command: 'true' }

describe('schedule', () => {
  test('status shows the next run, and "start" runs the task immediately', async () => {
    await start({ web: sleeper, backup: { ...task, schedule: '0 0 1 1 *' } })
    const next = new Date(new Date().getFullYear() + 1, 0, 1)
    expect(await status()).toMatchObject({
      web: { next_run: null },
      backup: { state: 'scheduled', ready: false, next_run: next.toISOString() },
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

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import { isAlive } from '../../../../test/rig/orchestrator/steerable-child.ts'

let program: CommandLine
beforeEach(() => {
  program = new CommandLine()
})
afterEach(() => program.dispose())

const crashing = { command: 'exit 3', shell: true, restart: { policy: 'never' } }
const note = 'echo "$PONIX_PROCESS: $PONIX_REASON" >> failures'
const failures = () =>
  existsSync(join(program.folder, 'failures')) ? readFileSync(join(program.folder, 'failures'), 'utf8') : ''

describe('on_failed', () => {
  test('of the file runs for each process that fails permanently, unless it has its own', async () => {
    program.writeConfig({
      on_failed: note,
      processes: {
        web: sleeper,
        one: crashing,
        two: { ...crashing, on_failed: { command: 'sh', args: ['-c', 'echo own >> failures'] } },
        restarting: { ...crashing, restart: { policy: 'always', backoff_ms: 60_000, max_backoff_ms: 60_000 } },
      },
    })
    const running = program.start()
    await expect.poll(failures).toMatch(/own/)
    await expect.poll(failures).toMatch(/one: exited with code 3/)
    await running.seen(/restarting: restarts in/)
    expect(await running.stop()).toBe(0)
    expect(failures().trim().split('\n').toSorted()).toEqual(['one: exited with code 3', 'own'])
  })

  test.each([
    ['a command that is missing', { command: 'there-is-none' }, /^web: "there-is-none" was not found on PATH/],
    ['a task that fails', { ...crashing, kind: 'task' }, /^web: exited with code 3\n$/],
    [
      'a process that is not ready in time',
      { ...sleeper, startup_timeout_ms: 300, readiness_probe: { exec: 'false' } },
      /^web: not ready after 300 ms/,
    ],
  ])('runs once when the start fails: %s', async (_, web, expected) => {
    const user = { ...sleeper, depends_on: { web: { condition: 'ready' } } }
    program.writeConfig({ on_failed: note, processes: { web, ...('kind' in web ? {} : { user }) } })
    expect((await program.run()).code).toBe(1)
    expect(failures()).toMatch(expected)
    expect(failures().trim().split('\n')).toHaveLength(1)
  })

  test('runs for each failed run of a schedule', async () => {
    const web = { ...crashing, kind: 'task', schedule: '* * * * * *' }
    program.writeConfig({ on_failed: note, processes: { web } })
    const running = program.start()
    await expect.poll(failures, { timeout: 10_000 }).toMatch(/^(web: exited with code 3\n){2}/)
    expect(await running.stop()).toBe(0)
  })

  test('that fails is a warning, and changes nothing else', async () => {
    program.writeConfig({ processes: { web: sleeper, one: { ...crashing, on_failed: 'echo no mail >&2; exit 1' } } })
    const running = program.start()
    await running.seen(/one: on_failed: exited with code 1: no mail/)
    expect(await running.stop()).toBe(0)
  })

  test('ends with the orchestrator that a second signal kills, or SIGKILL', async () => {
    const hook = 'echo $$ > pid; exec sleep 600'
    program.writeConfig({ processes: { web: sleeper, one: { ...crashing, on_failed: hook } } })
    const started = async () => {
      const running = program.start()
      await expect.poll(() => existsSync(join(program.folder, 'pid')) && pidOf() > 0).toBe(true)
      return { running, pid: pidOf() }
    }
    const pidOf = () => Number(readFileSync(join(program.folder, 'pid'), 'utf8'))
    const first = await started()
    first.running.signal('SIGTERM')
    await first.running.seen(/stopping everything/)
    first.running.signal('SIGTERM')
    expect((await first.running.outcome).code).toBe(143)
    expect(isAlive(first.pid)).toBe(false)
    program.writeConfig({ processes: { web: sleeper, one: { ...crashing, on_failed: hook.replace('pid', 'pid2') } } })
    const second = program.start()
    const path = join(program.folder, 'pid2')
    await expect.poll(() => existsSync(path) && Number(readFileSync(path, 'utf8')) > 0).toBe(true)
    await second.kill()
    await expect.poll(() => isAlive(Number(readFileSync(path, 'utf8'))), { timeout: 15_000 }).toBe(false)
  })
})

import { describe, expect, test } from 'vitest'
import { controlCommands, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'

const control = controlCommands()
const { begin, start, status } = control
const run = (...args: readonly string[]) => control.program.run(...args)
const quick = { restart: { backoff_ms: 1, max_backoff_ms: 1 } }
const failing = { command: 'exit 1', shell: true, ...quick }

describe('the status of a process that restarts (O-41)', () => {
  test('shows the last unexpected exit, and counts only such restarts, from 0 for the new version of a process', async () => {
    const rig = await openRig()
    const web = { ...rig.program('web'), ...quick }
    await start({ web })
    await (await rig.nextStart('web')).exit(7)
    await rig.nextStart('web')
    await expect.poll(status).toMatchObject({
      web: { state: 'running', restarts: 1, detail: expect.stringMatching(/^last exit: code 7, \d+ (ms|s) ago$/) },
    })
    for (const command of [
      ['restart', 'web'],
      ['stop', 'web'],
      ['start', 'web'],
    ]) {
      expect((await run(...command)).code).toBe(0)
    }
    control.program.writeConfig({ processes: { web, other: sleeper } })
    expect((await run('reload')).stdout).toBe('added: other\n')
    expect(await status()).toMatchObject({ web: { restarts: 1 } })
    control.program.writeConfig({ processes: { web: { ...web, env: { ...web.env, NEW: 'yes' } } } })
    expect((await run('reload')).code).toBe(0)
    expect(await status()).toMatchObject({ web: { restarts: 0, detail: null } })
  })

  test('a manual restart does not count as a restart', async () => {
    const rig = await openRig()
    await start({ web: { ...rig.program('web'), ...quick } })
    await (await rig.nextStart('web')).exit(7)
    await rig.nextStart('web')
    await run('restart', 'web')
    expect(await status()).toMatchObject({ web: { state: 'running', restarts: 1 } })
  })
})

describe('a process that ends soon after each start', () => {
  test('is reported once, after five ends in a row', async () => {
    const running = begin({ web: failing, other: sleeper })
    await running.seen(
      /web: has ended 5 times in a row, last: exited with code 1 after .*; it keeps restarting every 1 ms; see restart\.max_attempts\n[^]*\(attempt 8\)/,
    )
    expect(running.stderr.split('times in a row')).toHaveLength(2)
  })

  test('is not ready for "wait", which gives up after five restarts in a row if it has no time limit', async () => {
    await begin({ web: { ...failing, restart: { backoff_ms: 100, max_backoff_ms: 100 } } }).seen(/web: started/)
    const refusal = (text: RegExp) => ({ code: 1, stderr: expect.stringMatching(text) })
    expect(await run('wait', 'web', '--timeout', '800ms')).toMatchObject(
      refusal(/: not ready after 800 ms: web \(.*\)\n$/),
    )
    expect(await run('wait', 'web')).toMatchObject(
      refusal(/: cannot become ready: web \(has ended \d+ times in a row; .*\(attempt \d+\): exited with code 1\)\n$/),
    )
  })

  test('lets "run --detach --wait" end with 1 and the reason', async () => {
    control.program.writeConfig({ processes: { web: failing, other: sleeper } })
    const { code, stderr } = await run('run', '--detach', '--wait')
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /cannot become ready: web \(has ended \d+ times in a row; .*\(attempt \d+\): exited with code 1\)\n[^]*the orchestrator keeps running/,
    )
    expect(await run('down')).toMatchObject({ code: 0, stderr: '' })
  })
})

test('"wait" returns when a process without a readiness probe has run for a second (O-45)', async () => {
  const rig = await openRig()
  begin({ web: { ...rig.program('web'), ...quick } })
  const first = await rig.nextStart('web')
  const waited = run('wait', 'web')
  await first.exit(1)
  await rig.nextStart('web')
  expect(await waited).toMatchObject({ code: 0, stdout: 'web is ready\n' })
  const { web } = await status()
  expect(web?.uptime_ms).toBeGreaterThanOrEqual(1000)
})

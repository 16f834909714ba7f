import { describe, expect, test } from 'vitest'
import { controlCommands, sleeper } from '../../../test/rig/orchestrator/control-commands.ts'

const commands = controlCommands()
const LICENSE = 'license-4711'
const names = { secret_names: ['LICENSE', 'STRIPE_*'] }
const env = { LICENSE, STRIPE_ID: 'stripe-0815', PLAIN: 'a-${LICENSE}', AUTHOR: 'me' }
const isMasked = (text: string) => !/license-4711|stripe-0815/.test(text)

describe('secret_names (O-42)', () => {
  test('masks the values in validate', async () => {
    commands.program.writeConfig({
      ...names,
      env,
      processes: { web: { ...sleeper, args: ['600', '--license', LICENSE] } },
    })
    const environment = await commands.program.run('validate', '--show-env', 'web')
    expect(environment.stdout).toMatch(/LICENSE=\*\*\*$/m)
    expect(environment.stdout).toMatch(/PLAIN=a-\*\*\*$/m)
    expect(environment.stdout).toMatch(/AUTHOR=me$/m)
    const printed = await commands.program.run('validate', '--print')
    expect(JSON.parse(printed.stdout)).toMatchObject({
      ...names,
      env: { LICENSE: '***', STRIPE_ID: '***', AUTHOR: 'me' },
      processes: { web: { args: ['600', '--license', '***'] } },
    })
    expect([environment, printed].every(({ stdout }) => isMasked(stdout))).toBe(true)
  })

  test('masks the values in errors of the file', async () => {
    const web = { ...sleeper, readiness_probe: { tcp_socket: '${LICENSE}' } }
    commands.program.writeConfig({ ...names, env: { ...env, STRIPE_ID: 815 }, processes: { web } })
    const { code, stderr } = await commands.program.run('validate')
    expect([code, isMasked(stderr)]).toEqual([2, true])
    expect(stderr).toContain('env.STRIPE_ID: expected a string')
    commands.program.writeConfig({ ...names, env, processes: { web } })
    expect(await commands.program.run('validate')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/tcp_socket: .*got a value that is not shown because it may be a secret/),
    })
  })

  test.each(['systemd', 'compose', 'kubernetes'])('passes the values to %s by reference', async (engine) => {
    const web = { ...sleeper, args: ['600', '--stripe-key-id', 'stripe-0815'] }
    commands.program.writeConfig({ ...names, env, processes: { web } })
    const { stdout, stderr } = await commands.program.run('export', engine)
    expect(stdout).toContain('AUTHOR')
    expect(stdout).toContain('LICENSE')
    expect(isMasked(stdout + stderr)).toBe(true)
  })

  test('masks the values in the log, in status and in the reason for on_failed', async () => {
    const broken = {
      ...sleeper,
      cwd: './${LICENSE}',
      when_failed: 'isolate',
      on_failed: 'printf "%s\\n" "$PONIX_REASON" > reason',
    }
    commands.program.writeConfig({ ...names, env, processes: { web: sleeper } })
    const running = commands.run()
    await running.seen(/ready after/)
    commands.program.writeConfig({ ...names, env, processes: { web: sleeper, broken } })
    const reload = await commands.program.run('reload')
    expect([reload.code, isMasked(reload.stdout + reload.stderr)]).toEqual([1, true])
    const { broken: shown } = await commands.status()
    expect(shown?.reason).toMatch(/its cwd ".*\/\*\*\*" does not exist/)
    await expect.poll(() => commands.program.read('reason')).toContain('***')
    expect(isMasked(commands.program.read('reason'))).toBe(true)
    running.signal('SIGTERM')
    const { stdout, stderr } = await running.outcome
    expect(isMasked(stdout + stderr)).toBe(true)
  })

  test('applies a change without a restart', async () => {
    const web = { ...sleeper, readiness_probe: { http_get: 'http://127.0.0.1:1/${LICENSE}' } }
    commands.program.writeConfig({ env, processes: { web } })
    const running = commands.run()
    await running.seen(/waiting for web/)
    const before = await commands.status()
    expect(before['web']?.detail).toContain(`http://127.0.0.1:1/${LICENSE}`)
    commands.program.writeConfig({ ...names, env, processes: { web } })
    expect(await commands.program.run('reload')).toMatchObject({ code: 0 })
    const after = await commands.status()
    expect(after['web']?.pid).toBe(before['web']?.pid)
    expect(after['web']?.detail).toContain('http://127.0.0.1:1/***')
  })
})

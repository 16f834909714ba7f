import { describe, expect, test } from 'vitest'
import { controlCommands, echo, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'

const commands = controlCommands()

/** Returns the state of every process. */
async function states(...args: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const all = await commands.status(...args)
  return Object.fromEntries(Object.entries(all).map(([name, { state }]) => [name, state]))
}

//  db ── api ── web (profile dev)      worker
const processes = {
  db: sleeper,
  api: { ...echo('api is up'), depends_on: ['db'] },
  web: { ...echo('web is up'), depends_on: ['api'], profiles: ['dev', 'demo'] },
  worker: echo('worker is up'),
}

describe('a process that is left out (O-4)', () => {
  test('is disabled in the status, is started by start, and has logs', async () => {
    await commands.start(processes, '--disable', 'worker,db')
    expect(await commands.status()).toMatchObject({
      worker: { state: 'disabled', reason: 'was left out by --disable', ready: false },
      web: { state: 'disabled', reason: 'belongs to the profiles "dev", "demo", none of which is active' },
      api: { state: 'running', ready: true },
    })
    const { code, stdout } = await commands.program.run('start', 'worker')
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^worker: started \(pid \d+\)\n$/)])
    await expect.poll(async () => (await commands.program.run('logs', 'worker')).stdout).toContain('worker is up')
    expect(await states()).toEqual({ db: 'disabled', api: 'running', web: 'disabled', worker: 'running' })
  })

  test('stays out after a reload with the same options', async () => {
    await commands.start(processes, '--only', 'api')
    commands.program.writeConfig({ processes: { ...processes, later: sleeper } })
    expect(await commands.program.run('reload')).toMatchObject({ code: 0 })
    const out = { db: 'disabled', web: 'disabled', worker: 'disabled', later: 'disabled' }
    expect(await states()).toEqual({ ...out, api: 'running' })
  })

  test('with an unset variable does not prevent the run; only its own start fails, with the reason', async () => {
    await commands.start({ worker: sleeper, broken: { ...sleeper, env: { A: '${NOPE}' }, disabled: true } })
    const { code, stderr } = await commands.program.run('start', 'broken')
    expect([code, stderr]).toEqual([1, expect.stringContaining('processes.broken.env.A: ${NOPE} is not set')])
    expect(await states()).toEqual({ worker: 'running', broken: 'disabled' })
  })
})

describe('--profile', () => {
  test('adds the processes of the profile', async () => {
    await commands.start(processes, '--profile', 'dev')
    expect(await states()).toEqual({ db: 'running', api: 'running', web: 'running', worker: 'running' })
  })
})

describe('--with-dependencies (O-3)', () => {
  test('run --only starts the dependencies, and theirs', async () => {
    await commands.start(processes, '--only', 'web', '--with-dependencies')
    expect(await states()).toEqual({ db: 'running', api: 'running', web: 'running', worker: 'disabled' })
  })

  test('start starts the dependencies that are left out or stopped, in order', async () => {
    const running = await commands.start(processes, '--only', 'worker')
    const { code, stdout } = await commands.program.run('start', 'web', '--with-dependencies')
    expect([code, stdout.match(/^(?:db|api|web): started/gm)]).toEqual([
      0,
      ['db: started', 'api: started', 'web: started'],
    ])
    expect(running.stderr.match(/(db|api|web): started/g)).toEqual(['db: started', 'api: started', 'web: started'])
    await commands.program.run('stop', 'api', 'web')
    await commands.program.run('start', 'web', '--with-dependencies')
    expect(await states()).toEqual({ db: 'running', api: 'running', web: 'running', worker: 'running' })
  })

  test('start does not start what --disable left out', async () => {
    await commands.start(processes, '--disable', 'db', '--disable', 'api')
    await commands.program.run('start', 'web', '--with-dependencies')
    expect(await states()).toEqual({ db: 'disabled', api: 'disabled', web: 'running', worker: 'running' })
  })
})

describe('status', () => {
  test('shows the named processes, and those of --only', async () => {
    await commands.start({ ...processes, worker: { ...sleeper, replicas: 2 } })
    expect(Object.keys(await states('api'))).toEqual(['api'])
    expect(Object.keys(await states('--only', 'api,worker'))).toEqual(['api', 'worker#1', 'worker#2'])
    const unknown = await commands.program.run('status', 'aip')
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('did you mean "api"') })
  })
})

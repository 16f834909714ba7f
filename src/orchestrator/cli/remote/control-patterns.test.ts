import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { controlCommands, echo, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'

const control = controlCommands()
const { start, status } = control
const run = (...args: readonly string[]) => control.program.run(...args)

/** Returns the first column of a table without its heading. */
const namesIn = (results: string) =>
  results
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(':')[0])

describe('a pattern of names (O-9)', () => {
  test('restarts every process that it matches and no other', async () => {
    const rig = await openRig()
    await start({ web: rig.program('web'), 'web-admin': rig.program('web-admin'), db: rig.program('db') })
    const before = await Promise.all(['web', 'web-admin', 'db'].map((name) => rig.nextStart(name)))
    const { code, stdout } = await run('restart', 'web*')
    expect([code, namesIn(stdout)]).toEqual([0, ['web', 'web-admin']])
    await Promise.all([rig.nextStart('web'), rig.nextStart('web-admin')])
    expect(before.map(({ isGone }) => isGone)).toEqual([true, true, false])
  })

  test('is one element of a list with commas', async () => {
    await start({ web: sleeper, db: sleeper, 'api-a': sleeper, 'api-b': sleeper })
    expect(namesIn((await run('stop', 'web,api-*')).stdout)).toEqual(['web', 'api-a', 'api-b'])
    expect((await run('status', 'web,db')).stdout).toMatch(/^NAME.*\nweb .*\ndb .*\n$/)
  })

  test('"all" stops and starts every process', async () => {
    await start({ a: sleeper, b: { ...sleeper, replicas: 2 } })
    expect(namesIn((await run('stop', 'all')).stdout)).toEqual(['a', 'b#1', 'b#2'])
    expect(Object.values(await status()).map(({ state }) => state)).toEqual(['stopped', 'stopped', 'stopped'])
    expect((await run('start', 'all')).code).toBe(0)
    expect(Object.values(await status()).map(({ state }) => state)).toEqual(['running', 'running', 'running'])
  })

  test('"restart all" leaves manually stopped processes stopped', async () => {
    await start({ a: sleeper, b: sleeper })
    const before = await status()
    await run('stop', 'b')
    expect((await run('restart', 'all')).code).toBe(0)
    const after = await status()
    expect([after['a']?.state, after['b']?.state]).toEqual(['running', 'stopped'])
    expect(after['a']?.pid).not.toBe(before['a']?.pid)
    await run('stop', 'a')
    expect(await run('restart', 'all')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'ponix-orchestrator: "all" selects no stopped or disabled process (a, b); start them by name first\n',
    })
  })

  test('"all" is the name of a process if there is one', async () => {
    await start({ all: sleeper, other: sleeper })
    expect(namesIn((await run('stop', 'all')).stdout)).toEqual(['all'])
    expect((await status())['other']).toMatchObject({ state: 'running' })
  })

  test('selects the processes whose lines "logs" prints', async () => {
    const running = await start({ web1: echo('from web1'), web2: echo('from web2'), db: echo('from db') })
    for (const name of ['web1', 'web2', 'db']) await running.seen(new RegExp(`from ${name}`))
    const { stdout } = await run('logs', 'web?')
    expect(stdout).toContain('from web1')
    expect(stdout).toContain('from web2')
    expect(stdout).not.toContain('from db')
  })

  test('that matches nothing prints one line and changes nothing', async () => {
    await start({ web: sleeper, db: sleeper })
    expect(await run('stop', 'db', 'api*')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'ponix-orchestrator: no process matches "api*"; the processes are web, db\n',
    })
    expect((await status())['db']).toMatchObject({ state: 'running' })
  })

  test('that the shell has expanded to names of files is rejected with advice', async () => {
    await start({ web: sleeper })
    writeFileSync(join(control.program.folder, 'web.js'), '')
    const { code, stderr } = await run('restart', 'web.js')
    expect(code).toBe(1)
    expect(stderr).toContain(`("web.js" is a file in this folder: if you typed a pattern, quote it, as in 'web*')\n`)
  })
})

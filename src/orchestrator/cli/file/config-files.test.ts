import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import { controlCommands, echo, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { Program } from '../../../../test/rig/program.ts'

const control = controlCommands()

describe('a configuration of several files', () => {
  test('is validated, exported, completed and reloaded as one', async () => {
    const { program } = control
    mkdirSync(join(program.folder, 'lib'), { recursive: true })
    program.writeConfig(
      { control: { socket: 'socket' }, processes: { db: sleeper, web: echo('from lib') } },
      'lib/base.json',
    )
    program.writeConfig({ processes: { web: echo('local') } }, 'commonplace.local.json')
    program.writeConfig(
      '{\n  // comment\n  "extends": "lib/base.json",\n  "processes": {"api": {"command": "sleep", "args": ["600"],},},\n}',
    )

    const { stdout, code } = await program.run('validate')
    expect([code, stdout.split('\n')[0]]).toEqual([
      0,
      'commonplace.json, with lib/base.json, commonplace.local.json, is valid. Start order:',
    ])
    expect((await program.run('export', 'compose')).stdout).toMatch(/^ {2}api:$/m)
    expect((await program.run('completion', '--words', '--', 'stop', '')).stdout).toBe('db\nweb\napi\n')

    const orchestrator = control.run()
    await orchestrator.seen(/\[web\] +local/)
    await orchestrator.seen(/ready after/)
    program.writeConfig({ processes: { web: echo('again') } }, 'commonplace.local.json')
    expect(await program.run('reload')).toMatchObject({ code: 0, stdout: 'changed: web\n' })
    await orchestrator.seen(/\[web\] +again/)
    program.writeConfig({ control: { socket: 'socket' }, processes: { db: sleeper } }, 'lib/base.json')
    expect(await program.run('reload')).toMatchObject({ code: 0, stdout: 'nothing has changed\n' })
    program.writeConfig('{"processes": {"web": {"kind": 1, "cwd": 2}}}', 'lib/base.json')
    expect(await program.run('reload')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('2 errors in lib/base.json; nothing was changed, everything keeps running\n'),
    })
    expect(Object.keys(await control.status())).toEqual(['db', 'api', 'web'])
  })
})

describe('a missing commonplace.json', () => {
  const withoutFile = new CommandLine()
  const inParent = new CommandLine()
  afterAll(async () => {
    await withoutFile.dispose()
    await inParent.dispose()
  })

  test.each(['validate', 'run', 'status', 'logs', 'export compose'])(
    'is reported by %s with the smallest file and init',
    async (command) => {
      const { code, stderr } = await withoutFile.run(...command.split(' '))
      expect([code, stderr]).toEqual([
        2,
        'ponix-orchestrator: no commonplace.json in this folder or above; the smallest one is {"processes": {"web": {"command": "…"}}}, or run "ponix-orchestrator init"\n',
      ])
    },
  )

  test('is replaced by the nearest one in a folder above, for all commands', async () => {
    const cwd = join(inParent.folder, 'a/b')
    mkdirSync(cwd, { recursive: true })
    inParent.writeConfig({ processes: { db: sleeper } })
    const env = { ...process.env, XDG_RUNTIME_DIR: inParent.folder }
    const start = (...args: string[]) => new Program(process.execPath, [inParent.path, ...args], { cwd, env })
    expect((await start('validate').outcome).stdout).toMatch(/^\.\.\/\.\.\/commonplace\.json is valid/)

    const running = start('run')
    await running.seen(/\[orchestrator\] runs \.\.\/\.\.\/commonplace\.json$/m)
    await running.seen(/ready after/)
    expect((await start('status').outcome).stdout).toMatch(/^db +running/m)
    const second = await inParent.run()
    expect([second.code, second.stderr]).toEqual([
      2,
      `ponix-orchestrator: ${inParent.folder}/commonplace.json is already run by another ponix-orchestrator (pid ${running.child.pid}); ` +
        'show its output with "ponix-orchestrator attach", apply changes of the file with "ponix-orchestrator reload", ' +
        'or stop it with "ponix-orchestrator down"\n',
    ])
    expect(await start('down').outcome).toMatchObject({ code: 0 })
    expect(await running.outcome).toMatchObject({ code: 0 })
  })

  test('is reported with npx if npm has started the program', async () => {
    const env = { ...process.env, npm_command: 'exec' }
    const { stderr } = await new Program(process.execPath, [withoutFile.path], { cwd: withoutFile.folder, env }).outcome
    expect(stderr).toContain('or run "npx ponix-orchestrator init"\n')
  })

  test('is not mentioned for another file', async () => {
    const { code, stderr } = await withoutFile.run('validate', '--config', 'dev.json')
    expect([code, stderr]).toEqual([
      2,
      'ponix-orchestrator: dev.json does not exist; name an existing file with --config\n',
    ])
  })
})

describe('validate --print', () => {
  const program = new CommandLine()
  afterAll(() => program.dispose())

  test('prints the merged file as JSON, without secrets', async () => {
    program.writeConfig({
      env: { DB_PASSWORD: 'hunter2', API_TOKEN: '${API_TOKEN}', URL: 'http://me:hunter2@x' },
      processes: { web: { ...sleeper, args: ['--key', 'hunter2', '1'] }, db: sleeper },
    })
    program.writeConfig({ processes: { db: null, web: { cwd: '.' } } }, 'commonplace.local.json')
    program.environment = { API_TOKEN: 'hunter2' }
    const { code, stdout } = await program.run('validate', '--print')
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      {
        env: { DB_PASSWORD: '***', API_TOKEN: '${API_TOKEN}', URL: 'http://me:***@x' },
        processes: { web: { command: 'sleep', args: ['--key', '***', '1'], cwd: '.' } },
      },
    ])
  })

  test('reports errors of an invalid file', async () => {
    program.writeConfig({ processes: {} }, 'bad.json')
    expect(await program.run('validate', '--print', '--config', 'bad.json')).toMatchObject({ code: 2, stdout: '' })
  })

  test('names init for a Compose file', async () => {
    program.writeConfig('services:\n  web: {}\n', 'compose.yaml')
    expect((await program.run('validate', '--config', 'compose.yaml')).stderr).toContain(
      'compose.yaml:1:1: expected {; the file is a JSON object; "ponix-orchestrator init --from FILE" converts a Compose file\n',
    )
  })
})

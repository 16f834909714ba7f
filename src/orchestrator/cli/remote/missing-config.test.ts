import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import { echo } from '../../../../test/rig/orchestrator/control-commands.ts'

let program: CommandLine
beforeEach(() => {
  program = new CommandLine()
})
afterEach(() => program.dispose())

const processes = { web: echo('hello') }

/** Asserts that the commands of this file reach the orchestrator, and stops it. */
async function expectControl(...file: readonly string[]): Promise<void> {
  expect((await program.run('status', ...file)).stdout).toMatch(/^web +running/m)
  expect((await program.run('logs', ...file)).stdout).toContain('hello')
  expect(await program.run('reload', ...file)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('nothing was changed'),
  })
  expect(await program.run('down', ...file)).toEqual({ code: 0, stdout: 'everything is stopped\n', stderr: '' })
}

test('commands find the run of a file that was deleted', async () => {
  program.writeConfig({ processes })
  const running = program.start()
  await running.seen(/hello/)
  program.remove('commonplace.json')
  await expectControl()
  expect(await running.outcome).toMatchObject({ code: 0 })
  expect((await program.run('status')).code).toBe(2)
})

test('commands find the run of a file in a folder that was renamed, by the path that ls prints', async () => {
  const folder = join(program.folder, 'app')
  mkdirSync(folder)
  program.writeConfig({ processes }, 'app/dev.json')
  const running = program.start('--config', 'app/dev.json')
  await running.seen(/hello/)
  renameSync(folder, join(program.folder, 'renamed'))
  const { stdout } = await program.run('ls', '--json')
  const { orchestrators } = JSON.parse(stdout) as { orchestrators: readonly { config: string }[] }
  await expectControl('--config', orchestrators[0]?.config ?? '')
  expect(await running.outcome).toMatchObject({ code: 0 })
})

test('commands find the run of a symbolic link whose target was deleted', async () => {
  program.writeConfig({ processes }, 'target.json')
  program.link('link.json', 'target.json')
  const running = program.start('--config', 'link.json')
  await running.seen(/hello/)
  program.remove('target.json')
  await expectControl('--config', 'link.json')
  expect(await running.outcome).toMatchObject({ code: 0 })
})

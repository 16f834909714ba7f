import { expect, onTestFinished, test } from 'vitest'
import { CommandLine } from '../../../test/rig/orchestrator/command-line.ts'
import { LoadedPackages } from '../../../test/rig/orchestrator/loaded-packages.ts'
import type { Program } from '../../../test/rig/program.ts'

/** Returns the packages that the program has loaded when `ending` has ended it. */
async function loadedBy(
  args: readonly string[],
  config: object,
  ending: (program: Program) => Promise<unknown>,
): Promise<readonly string[]> {
  const commandLine = new CommandLine()
  const loaded = new LoadedPackages()
  onTestFinished(async () => {
    await commandLine.dispose()
    loaded[Symbol.dispose]()
  })
  commandLine.writeConfig(config)
  commandLine.environment = loaded.environment
  const program = commandLine.start(...args)
  await ending(program)
  return loaded.of(program.pid)
}

test('--help loads only the package that parses the command line', async () => {
  const packages = await loadedBy(['--help'], {}, async ({ outcome }) => expect((await outcome).code).toBe(0))
  expect(packages).toEqual(['commander'])
})

const someUsersOnly = ['chokidar', 'croner', 'execa', 'ignore', 'pino', 'pino-pretty', 'prom-client', 'yaml']

test('a run without schedules, watched files and JSON records loads no package for them', async () => {
  const config = { processes: { web: { command: 'sleep', args: ['1000'] } } }
  const packages = await loadedBy([], config, async (program) => {
    await program.seen(/the process is ready/)
    expect(await program.stop()).toBe(0)
  })
  expect(packages).toContain('zod')
  expect(packages.filter((name) => someUsersOnly.includes(name))).toEqual([])
})

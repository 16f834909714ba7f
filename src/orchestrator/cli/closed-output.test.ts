import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CommandLine } from '../../../test/rig/orchestrator/command-line.ts'
import type { Outcome, Program } from '../../../test/rig/program.ts'

/** Prints without end, so that a follower of its log always has something to write. */
const chatty = { command: 'while sleep 0.02; do echo another line; done', shell: true, log: { quiet: true } }
/** The export of this file is larger than the buffer of a pipe. */
const large = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`sleeper-${index}`, { command: 'sleep' }]))

let program: CommandLine
let running: Program
beforeAll(async () => {
  program = new CommandLine()
  program.writeConfig({ processes: large }, 'large.json')
  program.writeConfig({ processes: { chatty } })
  running = program.startShell('ponix run | head -1')
  await running.seen(/started/)
}, 60_000)
afterAll(async () => {
  await program.run('down')
  await program.dispose()
})

/** Runs a shell line whose parts write to the reader of a pipe; the exit code of the first part is the only line on stderr. */
const piped = (command: string, reader: string): Promise<Outcome> =>
  program.startShell(`{ ponix ${command}; echo "code $?" >&2; } | ${reader}`).outcome

const commands = [
  'logs --json',
  'logs -f',
  'logs -f --json',
  'status',
  'status --json',
  'validate --config large.json',
  'graph --config large.json',
  'graph --format json --config large.json',
  'export systemd --user ponix --config large.json',
  'completion zsh',
  'help',
  'logs --help',
  '--version',
]

describe('a reader of the output that ends', () => {
  test.each(commands)('after its first line ends "%s" quietly', async (command) => {
    const { stdout, stderr } = await piped(command, 'head -1')
    expect(stdout).toMatch(/^.+\n$/)
    expect(stderr).toBe('code 0\n')
  })

  test.each(commands)('before the first line ends "%s" quietly', async (command) => {
    expect(await piped(command, 'exec 0<&-')).toMatchObject({ stdout: '', stderr: 'code 0\n' })
  })

  test('ends "status --watch" although nothing changes', async () => {
    const { stdout, stderr } = await piped('status --watch', 'head -1')
    expect(stdout).toMatch(/^NAME.+\n$/)
    expect(stderr).toBe('code 0\n')
  }, 60_000)

  test('does not end a command that fails with another exit code', async () => {
    const line = `{ ponix status --config large.json 2>&1; echo "code $?" >&2; } | exec 0<&-`
    expect((await program.startShell(line).outcome).stderr).toBe('code 3\n')
  })

  test('does not end the supervision', async () => {
    expect(running.stdout).toBe('')
    const { code, stdout } = await program.run('status')
    expect([code, stdout]).toEqual([0, expect.stringMatching(/chatty +running/)])
  })
})

test('a full disk is reported with exit code 1', async () => {
  const { stderr } = await program.startShell('ponix graph > /dev/full; echo "code $?" >&2').outcome
  expect(stderr).toBe('ponix-orchestrator: cannot write to stdout: ENOSPC: no space left on device, write\ncode 1\n')
})

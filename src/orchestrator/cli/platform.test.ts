import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { CommandLine } from '../../../test/rig/orchestrator/command-line.ts'

const program = new CommandLine()
afterAll(() => program.dispose())

/** Makes the program see Windows as its platform. */
const windows = "data:text/javascript,Object.defineProperty(process,'platform',{value:'win32'})"

describe('on Windows', () => {
  test('run starts nothing, prints one line that names WSL, and exits with 2', async () => {
    program.environment = { NODE_OPTIONS: `--import=${windows}` }
    program.writeConfig({ processes: { a: { command: 'touch started', shell: true } } })
    for (const args of [[], ['run'], ['--only', 'a']]) {
      expect(await program.run(...args)).toEqual({
        code: 2,
        stdout: '',
        stderr:
          'ponix-orchestrator: Windows is not supported, because it has no process groups and no POSIX signals; run this command in WSL 2 (wsl --install)\n',
      })
    }
    expect(existsSync(join(program.folder, 'started'))).toBe(false)
  })

  test('validate works', async () => {
    program.environment = { NODE_OPTIONS: `--import=${windows}` }
    program.writeConfig({ processes: { a: { command: 'touch', args: ['started'] } } })
    expect(await program.run('validate')).toMatchObject({ code: 0, stderr: '' })
  })
})

import { afterAll, describe, expect, it } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'

const program = new CommandLine()
afterAll(() => program.dispose())

describe('a variable in the form of a shell', () => {
  const file =
    '{"processes": {\n  "a": {"command": "echo", "args": ["-n", "$HOME"], "env": {"B": "$USER"}, "kind": "task"}\n}}'
  const warning = 'commonplace.json:2:43: '
  const text = 'processes.a.args[1]: "$HOME" is passed as it is; write ${HOME} to insert the variable'

  it('is one warning with its position in validate, also with --strict', async () => {
    program.writeConfig(file)
    expect(await program.run('validate', '--strict')).toMatchObject({ code: 0, stderr: `${warning}warning: ${text}\n` })
  })

  it('is a warning in run, and passed as it is', async () => {
    program.writeConfig(file)
    const { code, stdout, stderr } = await program.run('run')
    expect(code).toBe(0)
    expect(stdout).toContain('$HOME')
    expect(stdout + stderr).toContain(warning + text)
  })

  it.each([
    { command: 'echo', args: ['$1', '$', 'a$', '${HOME}', '$${HOME}', '$ref', '{print $NF}', '$(date)'] },
    { command: 'sh', args: ['-c', 'echo $HOME'] },
    { command: 'echo $HOME', shell: true },
    { command: 'echo', env: { DB_PASSWORD: 'pa$WORD' } },
    { command: 'echo', args: ['--token', 'pa$WORD'] },
  ])('is not found in %j', async (definition) => {
    program.writeConfig({ processes: { a: definition } })
    expect(await program.run('validate')).toMatchObject({ code: 0, stderr: '' })
  })
})

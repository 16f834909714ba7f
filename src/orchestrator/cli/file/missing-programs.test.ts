import { afterAll, describe, expect, it } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'

const program = new CommandLine()
afterAll(() => program.dispose())

describe('validate with programs and folders that are missing', () => {
  const file = `{"processes": {
  "a": {"command": "nodee", "args": ["--token", "hunter2"]},
  "b": {"command": "node", "cwd": "none"},
  "c": {"command": "./none.sh", "cwd": "none", "replicas": 2},
  "d": {"command": "./commonplace.json"},
  "e": {"command": "nodee", "disabled": true},
  "f": {"command": "no such line", "shell": true}
}}`
  const found = [
    [2, 20, 'processes.a.command: "nodee" was not found on PATH (searched '],
    [3, 35, `processes.b.cwd: "${program.folder}/none" does not exist`],
    [4, 40, `processes.c.cwd: "${program.folder}/none" does not exist`],
    [5, 20, `processes.d.command: "${program.folder}/commonplace.json" is not executable; run chmod +x`],
  ] as const

  it('warns of each with its position, and suggests a program', async () => {
    program.writeConfig(file)
    const { code, stdout, stderr } = await program.run('validate')
    expect([code, stdout.split('\n')[0]]).toEqual([0, 'commonplace.json is valid. Start order:'])
    expect(stderr.split('\n')).toEqual([
      ...found.map(([line, column, text]) =>
        expect.stringContaining(`commonplace.json:${line}:${column}: warning: ${text}`),
      ),
      '',
    ])
    expect(stderr).toContain('; did you mean "node"?\n')
  })

  it('fails with --strict', async () => {
    program.writeConfig(file)
    const { code, stdout, stderr } = await program.run('validate', '--strict')
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr.split('\n')).toEqual([
      ...found.map(([line, column, text]) => expect.stringContaining(`commonplace.json:${line}:${column}: ${text}`)),
      '4 errors in commonplace.json',
      '',
    ])
  })

  it('does not warn if there are none', async () => {
    program.writeConfig({ processes: { a: { command: 'node' }, b: { command: 'exit 1', shell: true } } })
    expect(await program.run('validate', '--strict')).toMatchObject({ code: 0, stderr: '' })
    expect(await program.run('validate', '--strict', '--print')).toMatchObject({ code: 2 })
  })
})

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CommandLine } from '../../../test/rig/orchestrator/command-line.ts'

let program: CommandLine
beforeAll(async () => {
  program = new CommandLine()
  const names = ['store', 'web', 'web:a', 'web:b']
  program.writeConfig({ processes: Object.fromEntries(names.map((name) => [name, { command: 'x' }])) })
  const many = {
    worker: { command: 'x', replicas: 3 },
    wrong: { command: 'x', replicas: 'many' },
    one: { replicas: 1 },
  }
  program.writeConfig({ processes: many }, 'many.json')
  const profiles = { a: { profiles: ['dev'] }, b: { profiles: ['dev', 'test'] }, c: { profiles: 7 }, d: {} }
  program.writeConfig({ processes: profiles }, 'profiles.json')
  program.writeConfig({ processes: { other: { command: 'x' } } }, 'other.json')
  program.writeConfig('{"processes": {', 'broken.json')
  mkdirSync(join(program.folder, 'bin'))
  const wrapper = `#!/bin/sh\nexec "${process.execPath}" "${program.path}" "$@"\n`
  writeFileSync(join(program.folder, 'bin', 'ponix-orchestrator'), wrapper, { mode: 0o755 })
  const { stdout } = await program.run('completion', 'bash')
  writeFileSync(join(program.folder, 'completion.bash'), stdout)
}, 60_000)
afterAll(() => program.dispose())

const ask = `
  compopt() { echo "compopt $*"; }
  source ./completion.bash
  COMP_LINE=$1 COMP_POINT=\${#1}
  shift
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
  _ponix_orchestrator ponix-orchestrator
  [ \${#COMPREPLY[@]} = 0 ] || printf '%s\\n' "\${COMPREPLY[@]}"`

/** Returns the candidates that a real bash offers for a line with the cursor at its end. */
async function offered(typed: string): Promise<readonly string[]> {
  const line = `ponix-orchestrator ${typed}`
  const words = line.split(/(?<=[=:])|(?=[=:])|\s+/)
  const path = `${join(program.folder, 'bin')}:${process.env['PATH'] ?? ''}`
  const { stdout } = await execa('bash', ['-c', ask, 'bash', line, ...words], {
    cwd: program.folder,
    env: { PATH: path },
  })
  return stdout === '' ? [] : stdout.split('\n')
}

describe('completion in bash (O-11)', () => {
  it.each([
    ['val', ['validate']],
    ['expo', ['export']],
    ['export ', ['systemd', 'compose', 'kubernetes']],
    ['export comp', ['compose']],
    ['completion ', ['bash', 'zsh', 'fish']],
    ['graph --format ', ['text', 'mermaid', 'dot', 'json']],
    ['graph --format=m', ['mermaid']],
    ['--only ', ['store', 'web', 'web:a', 'web:b']],
    ['--only s', ['store']],
    ['--only web:', ['a', 'b']],
    ['--only=', ['store', 'web', 'web:a', 'web:b']],
    ['run --only store,we', ['store,web', 'store,web:a', 'store,web:b']],
    ['--only=store,web:', ['a', 'b']],
    ['--only=web,store,', ['web,store,web:a', 'web,store,web:b']],
    ['--config profiles.json --profile dev,', ['dev,test']],
    ['restart store,web,web:', ['a', 'b']],
    ['--exit-code-from store,', []],
    ['down --o', []],
    ['--disable store --only we', ['web', 'web:a', 'web:b']],
    ['--config other.json --only ', ['other']],
    ['-c other.json --only ', ['other']],
    ['-cother.json --only ', ['other']],
    ['--config=other.json --exit-code-from ', ['other']],
    ['--config many.json --only ', ['worker', 'worker#1', 'worker#2', 'worker#3', 'wrong', 'one', 'one#1']],
    ['--config many.json restart worker#', ['worker#1', 'worker#2', 'worker#3']],
    ['--config profiles.json --profile ', ['dev', 'test']],
    ['--config broken.json --only ', []],
    ['--config none.json --only ', []],
    ['--mqtt-broker ', []],
    ['validate --show-env st', ['store']],
    ['--mqtt', ['--mqtt-broker']],
    ['run --mqtt', ['--mqtt-broker']],
    ['status --mqtt', []],
    ['--abort', ['--abort-on-exit']],
    ['run --abort', ['--abort-on-exit']],
    ['graph --abort', []],
    ['graph --conf', ['--config']],
    ['validate ', []],
    ['nonsense --x', []],
  ])('offers the candidates for "%s"', async (typed, expected) => {
    expect(await offered(typed)).toEqual(expected)
  })

  it('works with a function for a local installation', async () => {
    const define = `ponix-orchestrator() { '${process.execPath}' '${program.path}' "$@"; }`
    const words = ['ponix-orchestrator val', 'ponix-orchestrator', 'val']
    const { stdout } = await execa('bash', ['-c', define + ask, 'bash', ...words], { cwd: program.folder })
    expect(stdout).toBe('validate')
  })

  it('offers every command of the help', async () => {
    const { stdout } = await program.run('--help')
    const list = /Commands:\n((?: {2}.*\n)+)/.exec(stdout)?.[1] ?? ''
    const commands = [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name)
    expect(commands).toContain('completion')
    expect(await offered('')).toEqual(expect.arrayContaining(commands))
  })

  it.each(['--config ', '-c ', '--config=', 'export systemd --output '])(
    'leaves paths after %sto the shell',
    async (typed) => {
      expect(await offered(typed)).toEqual(['compopt -o default'])
    },
  )
})

describe('completion (O-11)', () => {
  it('prints its help', async () => {
    const { code, stdout } = await program.run('completion', '--help')
    expect([code, stdout]).toEqual([0, expect.stringContaining('[shell]')])
  })

  it.each(['bash', 'zsh', 'fish'])('prints a script for %s', async (shell) => {
    const { code, stdout, stderr } = await program.run('completion', shell)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain(`for ${shell}`)
  })

  it('prints the script for $SHELL without an argument', async () => {
    const line = (shell: string) => program.startShell(`SHELL=${shell} ponix completion`).outcome
    expect(await line('/usr/bin/zsh')).toEqual(await program.run('completion', 'zsh'))
    expect(await line('/bin/sh')).toEqual(await program.run('completion', 'sh'))
  })

  it.each([[['ksh']], [['bash', 'zsh']]])(
    'prints the known shells and exits with 2 for the arguments %j',
    async (args) => {
      expect(await program.run('completion', ...args)).toEqual({
        code: 2,
        stdout: '',
        stderr: 'ponix-orchestrator: completion: expected the name of one shell: bash, zsh or fish\n',
      })
    },
  )
})

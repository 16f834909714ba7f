import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { emptyFolder } from '../../../test/rig/empty-folder.ts'
import { ownCommand } from './own-command.ts'

describe('a command line in a message', () => {
  it.each([
    [{}, 'ponix-orchestrator down'],
    [{ npm_command: 'exec' }, 'npx ponix-orchestrator down'],
    [{ npm_execpath: '/usr/lib/npm-cli.js' }, 'npx ponix-orchestrator down'],
    [{ npm_command: 'run-script', npm_config_user_agent: 'npm/11.0.0 node/v20' }, 'npx ponix-orchestrator down'],
    [{ npm_command: 'run-script', npm_config_user_agent: 'pnpm/9.1.0 npm/?' }, 'pnpm exec ponix-orchestrator down'],
    [{ npm_execpath: '/x/yarn.js', npm_config_user_agent: 'yarn/1.22.0' }, 'yarn ponix-orchestrator down'],
  ])('with the environment %j is %s', (environment, expected) => {
    expect(ownCommand('down', { environment })).toBe(expected)
  })

  it('begins with npx if the program was started by its path and is not on PATH', () => {
    const folder = emptyFolder()
    const bin = join(folder, 'node_modules', '.bin')
    mkdirSync(bin, { recursive: true })
    const program = join(bin, 'ponix-orchestrator')
    writeFileSync(program, '')
    expect(ownCommand('down', { environment: { PATH: folder }, program })).toBe('npx ponix-orchestrator down')
    expect(ownCommand('down', { environment: { PATH: bin }, program })).toBe('ponix-orchestrator down')
    const clone = join(folder, 'bin', 'ponix-orchestrator.js')
    expect(ownCommand('down', { environment: { PATH: folder }, program: clone })).toBe('ponix-orchestrator down')
  })

  it.each([
    ['commonplace.json', 'ponix-orchestrator down'],
    ['./commonplace.json', 'ponix-orchestrator down'],
    ['dev.json', 'ponix-orchestrator down --config dev.json'],
    ["it's.json", "ponix-orchestrator down --config 'it'\\''s.json'"],
  ])('for the file %s is %s', (config, expected) => {
    expect(ownCommand('down', { config, environment: {} })).toBe(expected)
  })
})

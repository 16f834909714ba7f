import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Program } from '../../../../test/rig/program.ts'
import { CTRL_C, type Terminal, TerminalCommandLine } from '../../../../test/rig/orchestrator/terminal.ts'

let program: TerminalCommandLine
beforeAll(() => {
  program = new TerminalCommandLine()
  const bin = join(program.folder, 'node_modules/.bin')
  mkdirSync(bin, { recursive: true })
  const stub = join(bin, 'ponix-orchestrator')
  writeFileSync(stub, `#!/usr/bin/env node\nimport(${JSON.stringify(program.path)})\n`)
  chmodSync(stub, 0o755)
  const scripts = { plain: 'ponix-orchestrator', start: 'exec ponix-orchestrator', nested: 'npm run plain' }
  writeFileSync(join(program.folder, 'package.json'), JSON.stringify({ name: 'x', version: '1.0.0', scripts }))
})
afterAll(() => program.dispose())

/** Writes a configuration with a process that handles SIGTERM with `trap`, and sets the shell of npm. */
function configure(shell: string, trap: string): void {
  const command = `trap '${trap}' TERM; echo "up $$ $PPID"; while :; do sleep 0.1; done`
  program.writeConfig({ processes: { app: { command, shell: true, shutdown: { timeout_ms: 600_000 } } } })
  program.environment = { npm_config_script_shell: shell, npm_config_update_notifier: 'false' }
}

/** Starts the orchestrator through npm in a terminal; resolves when its process runs. */
async function start(words: readonly string[], shell: string, trap: string) {
  configure(shell, trap)
  const [npm = '', ...args] = words
  const terminal = program.open(npm, args)
  const [, child, orchestrator] = await terminal.seen(/up (\d+) (\d+)/)
  started = [Number(child), Number(orchestrator)]
  await terminal.seen(/process is ready/)
  return { terminal, child: Number(child), orchestrator: Number(orchestrator) }
}

const TIDY = 'echo tidying; sleep 2; echo tidied; exit 0'
const STUBBORN = 'echo refused'

/** Kills what a failed test has left running. */
let started: readonly number[] = []
afterEach(() => {
  for (const pid of started.filter(isRunning)) process.kill(pid, 'SIGKILL')
})

/** Resolves when the terminal's program has ended; resolves to those of the processes that still run. */
async function remaining(terminal: Terminal, pids: readonly number[]): Promise<readonly number[]> {
  await terminal.exitCode
  return pids.filter(isRunning)
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const launches = [
  ['npx ponix-orchestrator', '/bin/dash'],
  ['npx ponix-orchestrator', '/bin/bash'],
  ['npm run plain', '/bin/dash'],
  ['npm run plain', '/bin/bash'],
  ['npm run nested', '/bin/bash'],
  ['npm start', '/bin/dash'],
] as const

describe.each(launches)('O-37 %s with %s', (line, shell) => {
  const words = line.split(' ')

  it('stops in order on Ctrl-C and waits for a process that needs 2 s', async () => {
    const { terminal, child, orchestrator } = await start(words, shell, TIDY)
    terminal.press(CTRL_C)
    await terminal.seen(/tidied/)
    await terminal.seen(/stopped after/)
    await expect.poll(() => remaining(terminal, [child, orchestrator])).toEqual([])
  })

  it('kills immediately on a second Ctrl-C', async () => {
    const { terminal, child, orchestrator } = await start(words, shell, STUBBORN)
    terminal.press(CTRL_C)
    await terminal.seen(/refused/)
    terminal.press(CTRL_C)
    await expect.poll(() => remaining(terminal, [child, orchestrator])).toEqual([])
  })

  it('stops in order on a SIGTERM to npm', async () => {
    configure(shell, 'echo tidied; exit 0')
    const [npm = '', ...args] = words
    const env = { ...process.env, XDG_RUNTIME_DIR: program.folder, ...program.environment }
    const running = new Program(npm, args, { cwd: program.folder, env, detached: true })
    const [, child, orchestrator] = await running.seen(/up (\d+) (\d+)/)
    started = [Number(child), Number(orchestrator)]
    await running.seen(/process is ready/)
    running.signal('SIGTERM')
    // The orchestrator keeps the pipes open after npm has ended.
    await running.outcome
    expect(running.stdout).toMatch(/tidied/)
    await expect.poll(() => started.filter(isRunning)).toEqual([])
  })
})

// npm takes no part in these, so that one launch without a program that passes signals on and one with several show all.
describe.each([
  ['npm run plain', '/bin/dash'],
  ['npm run nested', '/bin/bash'],
] as const)('O-37 %s with %s', (line, shell) => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'kills immediately on a second %s to the orchestrator only',
    async (signal) => {
      const { terminal, child, orchestrator } = await start(line.split(' '), shell, STUBBORN)
      process.kill(orchestrator, signal)
      await terminal.seen(/refused/)
      process.kill(orchestrator, signal)
      await expect.poll(() => remaining(terminal, [child, orchestrator])).toEqual([])
    },
  )
})

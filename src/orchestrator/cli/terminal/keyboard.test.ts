import { constants, readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { echo } from '../../../../test/rig/orchestrator/control-commands.ts'
import {
  CTRL_BACKSLASH,
  CTRL_C,
  CTRL_Z,
  type Terminal,
  TerminalCommandLine,
} from '../../../../test/rig/orchestrator/terminal.ts'

let program: TerminalCommandLine
beforeEach(() => {
  program = new TerminalCommandLine()
})
afterEach(() => program.dispose())

const twoProcesses = { web: echo('web is up'), api: echo('api is up') }
const stubborn = {
  command: 'trap "echo refused" TERM; echo "is up"; while :; do sleep 0.1; done',
  shell: true,
  shutdown: { timeout_ms: 600_000 },
}

function openShell(...words: readonly string[]): Terminal {
  const env = { ...process.env, XDG_RUNTIME_DIR: program.folder, TERM: 'xterm-256color', PS1: '' }
  const [shell = '', ...args] = words
  return program.open(shell, args, { env, columns: 200 })
}

const orchestratorLine = () => `'${process.execPath}' '${program.path}' run`

/**
 * Starts the orchestrator in a shell without job control, which does not change the terminal; resolves when its processes run.
 * After its end, the shell prints its exit code, and when the mode of the terminal is restored.
 */
async function start(processes: object, more = ''): Promise<Terminal> {
  program.writeConfig({ processes })
  const restored =
    'until stty -a | grep -q " icanon" && stty -a | grep -q " echo "; do sleep 0.05; done; echo "restored"'
  const script = `trap : INT QUIT; ${orchestratorLine()} ${more}; echo "code:$?"; ${restored}; cat`
  const terminal = openShell('/bin/sh', '-c', script)
  await terminal.seen(/ready after/)
  for (const _ of Object.keys(processes)) await terminal.seen(/is up/)
  return terminal
}

/** Starts the orchestrator; resolves when keys have an effect. */
async function startWithKeys(processes: object = twoProcesses): Promise<Terminal> {
  const terminal = await start(processes)
  await expect.poll(() => terminal.mode()).toContain('-icanon')
  return terminal
}

/** Starts the orchestrator in a shell with job control. */
async function startInBash(more = ''): Promise<Terminal> {
  program.writeConfig({ processes: twoProcesses })
  const shell = openShell('/bin/bash', '--norc', '--noprofile', '-i')
  shell.press(`${orchestratorLine()} ${more}\n`)
  await shell.seen(/ready after/)
  return shell
}

/** Starts the orchestrator in a shell with job control, and presses Ctrl-Z when keys have an effect. */
async function suspended(): Promise<Terminal> {
  const shell = await startInBash()
  await expect.poll(() => (shell.press('?'), shell.output)).toContain('show this help')
  shell.press(CTRL_Z)
  await shell.seen(/Stopped/)
  return shell
}

/** Resolves with the exit code of the orchestrator when the terminal is restored. */
async function codeOf(terminal: Terminal): Promise<string | undefined> {
  const code = await terminal.seen(/code:(\d+)/)
  await terminal.seen(/restored/)
  return code[1]
}

/** Returns the pid of the program that a shell runs. */
function childOf({ pid }: Terminal): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').at(-1))
}

describe('a key in the terminal', () => {
  it('restarts a process, shows the status, clears the screen, shows the help and stops', async () => {
    const terminal = await startWithKeys()
    const from = terminal.output.length
    terminal.press('r')
    await terminal.seen(/1 web {2}2 api {2}all/, from)
    terminal.press('2')
    await terminal.seen(/restarting api/, from)
    await terminal.seen(/api: started/, from)
    terminal.press('s')
    await terminal.seen(/web .*running.* 0 .*\r\n.*api .*running.* 0 /, from)
    terminal.press('?')
    await terminal.seen(/show this help/, from)
    terminal.press('l')
    // oxlint-disable-next-line no-control-regex -- the sequence that clears the screen
    await terminal.seen(/\u001b\[2J/, from)
    terminal.press('q')
    await terminal.seen(/stopping everything: q \(a second one kills immediately\)/, from)
    expect(await codeOf(terminal)).toBe('0')
  })

  it('kills everything if it is q, pressed twice', async () => {
    const terminal = await startWithKeys({ stubborn })
    terminal.press('q')
    await terminal.seen(/refused/)
    terminal.press('q')
    expect(await codeOf(terminal)).toBe('130')
    expect(terminal.output).toMatch(/killing everything: second q[^]*stubborn: killed/)
  })

  it.each(['--no-keys', '--log-format json'])(
    'has no effect with %s, and the mode of the terminal stays',
    async (flag) => {
      const terminal = await start(twoProcesses, flag)
      expect(terminal.mode()).not.toContain('-icanon')
      terminal.press('q\n?\n')
      terminal.press(CTRL_C)
      expect(await codeOf(terminal)).toBe('0')
      expect(terminal.output).not.toContain('show this help')
    },
  )

  it('has no effect as a part of a paste', async () => {
    const terminal = await startWithKeys()
    terminal.press('quit all servers')
    // A paste that arrives together with the key would hide it.
    await expect.poll(() => (terminal.press('?'), terminal.output)).toContain('show this help')
    expect(terminal.output).not.toContain('stopping everything')
    terminal.press(CTRL_C)
    expect(await codeOf(terminal)).toBe('0')
  })
})

it('reads the terminal without blocking', async () => {
  const terminal = await startWithKeys()
  const [, flags = ''] = /flags:\s+(\d+)/.exec(readFileSync(`/proc/${childOf(terminal)}/fdinfo/0`, 'utf8')) ?? []
  expect(Number.parseInt(flags, 8) & constants.O_NONBLOCK).toBe(constants.O_NONBLOCK)
})

describe('the mode of the terminal', () => {
  it('is restored after Ctrl-C', async () => {
    const terminal = await startWithKeys()
    terminal.press(CTRL_C)
    expect(await codeOf(terminal)).toBe('0')
  })

  it('is restored after a second Ctrl-C', async () => {
    const terminal = await startWithKeys({ stubborn })
    terminal.press(CTRL_C)
    await terminal.seen(/refused/)
    terminal.press(CTRL_C)
    expect(await codeOf(terminal)).toBe('130')
    expect(terminal.output).toMatch(/killing everything: second SIGINT[^]*stubborn: killed/)
    expect(terminal.output.split('killing everything')).toHaveLength(2)
  })

  it('is restored by the guard after SIGKILL (O-38)', async () => {
    const terminal = await startWithKeys()
    process.kill(childOf(terminal), 'SIGKILL')
    expect(await codeOf(terminal)).toBe('137')
  })

  it('is restored by the guard after Ctrl-\\, which ends the orchestrator', async () => {
    const terminal = await startWithKeys()
    terminal.press(CTRL_BACKSLASH)
    expect(await codeOf(terminal)).toBe('131')
  })
})

describe('job control', () => {
  it('gives the terminal to the shell on Ctrl-Z, and keys work again after fg', async () => {
    const shell = await suspended()
    shell.press('stty -a; echo "end:$?"\n')
    await shell.seen(/end:0/)
    expect(shell.output).toMatch(/ icanon/)
    const from = shell.output.length
    shell.press('fg\n')
    await expect.poll(() => (shell.press('?'), shell.output.slice(from))).toContain('show this help')
    shell.press(CTRL_C)
    await shell.seen(/everything is stopped/)
  })

  it('works after Ctrl-Z, bg and fg', async () => {
    const shell = await suspended()
    shell.press('bg; echo "end:$?"\n')
    await shell.seen(/end:0/)
    const from = shell.output.length
    shell.press('fg\n')
    await expect
      .poll(() => (shell.press('?'), shell.output.slice(from)), { timeout: 20_000, interval: 200 })
      .toContain('show this help')
    shell.press(CTRL_C)
    await shell.seen(/everything is stopped/)
  })

  it('does not change the mode of the terminal in the background', async () => {
    const shell = await startInBash('&')
    shell.press('kill -INT %1; wait %1; echo "code:$?"\n')
    await shell.seen(/code:0/)
    expect(shell.output).not.toMatch(/Stopped/)
  })
})

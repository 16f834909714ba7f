import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CTRL_C, type Terminal, TerminalCommandLine } from '../../../../test/rig/orchestrator/terminal.ts'

let program: TerminalCommandLine
beforeAll(() => {
  program = new TerminalCommandLine()
})
afterAll(() => program.dispose())

/** The variables of a terminal with 256 colours; those of the machine that runs the tests would have an effect. */
function environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], XDG_RUNTIME_DIR: program.folder, TERM: 'xterm-256color', ...more }
}

const printVariables = {
  kind: 'task',
  command: 'echo "variables:<$FORCE_COLOR|$COLUMNS>"; test -t 1 || echo "no terminal"',
  shell: true,
}

function open(processes: object, env: NodeJS.ProcessEnv = {}): Terminal {
  program.writeConfig({ processes })
  return program.openProgram(['run'], { columns: 100, rows: 40, env: environment(env) })
}

it('reports SIGHUP at a terminal as the closed terminal (O-37)', async () => {
  const terminal = open({ app: { command: 'sleep', args: ['600'] } })
  await terminal.seen(/ready after/)
  process.kill(terminal.pid, 'SIGHUP')
  await terminal.seen(/stopping everything: the terminal was closed/)
  expect(await terminal.exitCode).toBe(0)
})

describe('a child without a terminal', () => {
  it.each([
    ['a terminal with colours', {}, '2|85'],
    ['NO_COLOR', { NO_COLOR: '1' }, '|'],
    ['FORCE_COLOR of the user', { FORCE_COLOR: '1' }, '1|85'],
    ['COLUMNS of the user', { COLUMNS: '42' }, '2|42'],
  ])('gets the variables of %s', async (_, env, expected) => {
    const terminal = open({ app: printVariables }, env)
    await terminal.seen(/no terminal/)
    expect(await terminal.exitCode).toBe(0)
    expect(/variables:<(.*)>/.exec(terminal.output)?.[1]).toBe(expected)
  })

  it('keeps its colours, and cannot change the screen or the title, in run and logs', async () => {
    const command = String.raw`printf '\033[2J\033[H\033]0;taken\007\033[31mpainted\033[0m\n'; sleep 600`
    const terminal = open({ app: { command, shell: true } })
    // oxlint-disable-next-line no-control-regex -- a colour
    const painted = /\u001b\[31mpainted/
    await terminal.seen(painted)
    const logs = program.openProgram(['logs'], { columns: 100, env: environment() })
    await logs.seen(painted)
    expect(await logs.exitCode).toBe(0)
    const pipe = await program.run('logs')
    terminal.press(CTRL_C)
    expect(await terminal.exitCode).toBe(0)
    // oxlint-disable-next-line no-control-regex -- sequences that clear the screen and set the title
    expect(terminal.output + logs.output).not.toMatch(/\u001b\[2J|\u001b\]0;/)
    expect(pipe.stdout).toContain('\u001b[2J\u001b[H\u001b]0;taken\u0007\u001b[31mpainted')
  })

  it.each<[string, { readonly log?: object }, readonly string[]]>([
    ['a log file', { log: { file: 'app.log' } }, []],
    ['hidden output', { log: { quiet: true, file: 'app.log' } }, []],
    ['--log-format json', {}, ['--log-format', 'json']],
  ])('gets no colours with %s', async (_, more, args) => {
    program.writeConfig({ processes: { app: { ...printVariables, ...more }, check: { ...printVariables } } })
    const terminal = program.openProgram(['run', ...args], { env: environment() })
    expect(await terminal.exitCode).toBe(0)
    const logs = [terminal.output, more.log === undefined ? '' : program.read('app.log')].join('')
    expect(logs).toContain('variables:<|>')
  })

  it('gets no variables without a terminal', async () => {
    program.writeConfig({ processes: { app: printVariables } })
    program.environment = { FORCE_COLOR: '', COLUMNS: '' }
    expect((await program.run('run')).stdout).toContain('variables:<|>')
  })
})

describe('an unfinished line of a child without a terminal', () => {
  const untilFile = (name: string) => `until test -e ${name}; do sleep 0.1; done`

  it('is shown on a line of its own, and again when it is finished, unless it looks the same', async () => {
    const ask = { command: `printf "Continue? "; ${untilFile('go')}; echo; echo asked; exec sleep 600`, shell: true }
    const bar = {
      command: `printf "\\rbuilding 1%%"; ${untilFile('go')}; printf "\\rbuilding 100%%\\n"; exec sleep 600`,
      shell: true,
    }
    const terminal = open({ ask, bar })
    await terminal.seen(/\[ask\]\S* +Continue\? \S*\r\n/)
    await terminal.seen(/\[bar\]\S* +building 1%\S*\r\n/)
    writeFileSync(join(program.folder, 'go'), '')
    await terminal.seen(/asked/)
    await terminal.seen(/building 100%\S*\r\n/)
    expect(terminal.output.split('Continue?')).toHaveLength(2)
    const { stdout } = await program.run('logs', '--no-events')
    expect(stdout.match(/Continue\?/g)).toHaveLength(1)
    terminal.press(CTRL_C)
    expect(await terminal.exitCode).toBe(0)
  })
})

describe('a child with a terminal', () => {
  it('has the size of our terminal less the prefix, and follows its changes', async () => {
    const command = 'trap "stty size" WINCH; stty size; while :; do sleep 0.1; done'
    const terminal = open({ app: { command, shell: true, tty: true } })
    await terminal.seen(/\[app\]\S* +40 85/)
    terminal.resize(120, 50)
    await terminal.seen(/\[app\]\S* +50 105/)
    terminal.press(CTRL_C)
    expect(await terminal.exitCode).toBe(0)
  })
})

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Terminal, TerminalCommandLine } from '../../../../test/rig/terminal.ts'

const CTRL_C = '\u0003'

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
  expect(await terminal.outcome).toMatchObject({ exitCode: 0 })
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
    await terminal.outcome
    expect(/variables:<(.*)>/.exec(terminal.output)?.[1]).toBe(expected)
  })

  it.each<[string, { readonly log?: object }, readonly string[]]>([
    ['a log file', { log: { file: 'app.log' } }, []],
    ['hidden output', { log: { quiet: true, file: 'app.log' } }, []],
    ['--log-format json', {}, ['--log-format', 'json']],
  ])('gets no colours with %s', async (_, more, args) => {
    program.writeConfig({ processes: { app: { ...printVariables, ...more }, check: { ...printVariables } } })
    const terminal = program.openProgram(['run', ...args], { env: environment() })
    await terminal.outcome
    const logs = [terminal.output, more.log === undefined ? '' : program.read('app.log')].join('')
    expect(logs).toContain('variables:<|>')
  })

  it('gets no variables without a terminal', async () => {
    program.writeConfig({ processes: { app: printVariables } })
    program.environment = { FORCE_COLOR: '', COLUMNS: '' }
    expect((await program.run('run')).stdout).toContain('variables:<|>')
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
    expect(await terminal.outcome).toMatchObject({ exitCode: 0 })
  })
})

import { describe, expect, it, onTestFinished, test } from 'vitest'
import { controlCommands, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { CTRL_C, Terminal } from '../../../../test/rig/orchestrator/terminal.ts'
import { statusAnswer } from '../../control/protocol.ts'
import { renderFrame } from './status-watch.ts'

describe('a frame', () => {
  const begin = '\u001b[?2026h\u001b[H'
  const end = '\u001b[J\u001b[?2026l'

  it.each([
    ['fits', 'NAME\na\n', 10, 5, 'NAME\u001b[K\r\na\u001b[K\r\n'],
    ['is too wide', 'NAME  STATE\n', 6, 5, 'NAME …\u001b[K\r\n'],
    ['is coloured', '\u001b[32mready\u001b[39m now\n', 5, 5, '\u001b[32mread…\u001b[39m\u001b[K\r\n'],
    ['is too high', 'NAME\na\nb\nc\nd\n', 10, 4, 'NAME\u001b[K\r\na\u001b[K\r\n… 3 more\u001b[K\r\n'],
  ])('of a table that %s', (_, table, columns, rows, expected) => {
    expect(renderFrame(table, columns, rows)).toBe(begin + expected + end)
  })
})

const control = controlCommands()
const { start } = control

describe('status --watch (O-9)', () => {
  test('redraws the table on a terminal, and Ctrl-C restores the terminal and ends with 0', async () => {
    await start({ a: sleeper, b: sleeper })
    await control.status()
    const { program } = control
    const screen = new Terminal(process.execPath, [program.path, 'status', '--watch'], {
      cwd: program.folder,
      env: { ...process.env, XDG_RUNTIME_DIR: program.folder },
    })
    onTestFinished(() => screen.kill())
    await screen.seen(/\[\?1049h[^]*a +\S*running/)
    await program.run('stop', 'a')
    const { index } = await screen.seen(/a +\S*stopped/)
    await screen.seen(/b +\S*running/, index)
    screen.press(CTRL_C)
    expect(await screen.exitCode).toBe(0)
    expect(screen.output).toMatch(/\[\?25h.\[\?1049lNAME +STATE[^]*$/)
  })

  test('shows details on lines of their own in a narrow terminal, and cuts them', async () => {
    const db = { ...sleeper, readiness_probe: { log_line: 'a line that db never prints' } }
    await control.begin({ db, web: { ...sleeper, depends_on: ['db'] } }).seen(/waiting for db/)
    const { program } = control
    const screen = new Terminal(process.execPath, [program.path, 'status', '--watch'], {
      cwd: program.folder,
      env: { ...process.env, XDG_RUNTIME_DIR: program.folder, NO_COLOR: '1' },
      columns: 30,
    })
    onTestFinished(() => screen.kill())
    // oxlint-disable-next-line no-control-regex -- the sequence that erases the rest of a line
    await screen.seen(/\nweb +waiting [^\n]*…\u001b\[K\r+\n {4}waiting for db: [^\n]*…\u001b\[K\r+\n/)
    screen.press(CTRL_C)
    expect(await screen.exitCode).toBe(0)
  })

  test('shows the processes with problems first in a terminal with too few rows', async () => {
    const names = Array.from({ length: 12 }, (_, index) => [`p${index}`, sleeper] as const)
    await start({ ...Object.fromEntries(names), last: sleeper })
    await control.program.run('stop', 'last')
    const { program } = control
    const screen = new Terminal(process.execPath, [program.path, 'status', '--watch'], {
      cwd: program.folder,
      env: { ...process.env, XDG_RUNTIME_DIR: program.folder, NO_COLOR: '1' },
      rows: 8,
    })
    onTestFinished(() => screen.kill())
    // oxlint-disable-next-line no-control-regex -- the sequence that erases the rest of a line
    await screen.seen(/NAME [^\n]*\nlast +stopped[^\n]*\np0 [^]*… \d more\u001b/)
    screen.press(CTRL_C)
    expect(await screen.exitCode).toBe(0)
  })

  test('--json prints a line for each change until the orchestrator ends', async () => {
    const running = await start({ a: sleeper, b: sleeper })
    await control.status()
    const watching = control.program.start('status', 'a', '--watch', '--json')
    await watching.seen(/"running"/)
    await control.program.run('stop', 'b')
    await control.program.run('stop', 'a')
    await watching.seen(/"stopped"/)
    running.signal('SIGTERM')
    const { code, stdout } = await watching.outcome
    expect(code).toBe(0)
    const answers = stdout
      .trim()
      .split('\n')
      .map((line) => statusAnswer.parse(JSON.parse(line)))
    expect(answers.map(({ processes }) => processes.map(({ name, state }) => `${name} ${state}`))).toEqual(
      expect.arrayContaining([['a running'], ['a stopping'], ['a stopped']]),
    )
    const states = answers.map(({ stopping, processes: [a] }) =>
      JSON.stringify([stopping, a?.state, a?.pid, a?.reason]),
    )
    expect(new Set(states).size).toBe(answers.length)
  })

  test('prints tables when the output is not a terminal', async () => {
    const running = await start({ a: sleeper })
    await control.status()
    const watching = control.program.start('status', '--watch')
    await watching.seen(/^a +running/m)
    await control.program.run('stop', 'a')
    await watching.seen(/\n\nNAME[^]*^a +stopped/m)
    running.signal('SIGTERM')
    expect((await watching.outcome).code).toBe(0)
  })
})

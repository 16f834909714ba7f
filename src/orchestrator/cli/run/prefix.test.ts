import { execFileSync } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TerminalCommandLine } from '../../../../test/rig/orchestrator/terminal.ts'

let program: TerminalCommandLine
beforeAll(async () => {
  program = new TerminalCommandLine()
}, 60_000)
afterAll(() => program.dispose())

const print = (text: string) => ({ command: `echo ${text}`, shell: true, kind: 'task' })
const printUntilStopped = (text: string) => ({ command: `echo ${text}; exec sleep 600`, shell: true })
const ISO = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d`

describe('prefixes of run (O-31)', () => {
  test.each([
    [['--prefix', 'pid'], /^\[\d+\] +one$/, /^\[orchestrator\] web: started/m],
    [['--prefix', 'time'], /^\[\d\d:\d\d:\d\d\.\d{3}\] +one$/, /^\[orchestrator\] web: started/m],
    [['--prefix', 'none'], /^one$/, /^\[orchestrator\] web: started/m],
    [['--prefix', '{pid}|{name}:'], /^\d+\|web: +one$/, /^\d+\|orchestrator: +web: started/m],
    [
      ['--timestamps'],
      new RegExp(`^\\[web\\] +${ISO} one$`),
      new RegExp(`^\\[orchestrator\\] ${ISO} web: started`, 'm'),
    ],
  ])('with %j', async (args, line, message) => {
    program.writeConfig({ processes: { web: print('one') } })
    const { code, stdout, stderr } = await program.run('run', ...args)
    expect([code, stdout.trimEnd()]).toEqual([0, expect.stringMatching(line)])
    expect(stderr).toMatch(message)
  })

  test('have no effect on --log-format json', async () => {
    program.writeConfig({ processes: { web: print('one') } })
    const { stdout } = await program.run('run', '--timestamps', '--prefix', 'pid', '--log-format', 'json')
    expect(JSON.parse(stdout)).toMatchObject({ process: 'web', line: 'one' })
  })

  test.each([
    [80, /^\[orchestrator\] {6}\S/m, /^\[a\] {17}one$/m, /^\[a-name-that…lumns\] two$/m],
    [40, /^\[orch…or\] \S/m, /^\[a\] {7}one$/m, /^\[a-na…ns\] two$/m],
  ])('shorten the names in a terminal of %d columns', async (columns, own, short, long) => {
    program.writeConfig({ processes: { a: print('one'), 'a-name-that-leaves-no-space-in-80-columns': print('two') } })
    const terminal = program.openProgram(['run'], {
      columns,
      env: { ...process.env, NO_COLOR: '1', XDG_RUNTIME_DIR: program.folder },
    })
    expect(await terminal.exitCode).toBe(0)
    const output = stripVTControlCharacters(terminal.output).replaceAll('\r\n', '\n')
    for (const line of [own, short, long]) expect(output).toMatch(line)
  })

  test('of all running processes become wider with a longer name of a reload', async () => {
    const web = { command: 'read -r x < more; echo two; exec sleep 600', shell: true }
    program.writeConfig({ processes: { web } })
    execFileSync('mkfifo', [`${program.folder}/more`])
    const running = program.start('run')
    await running.seen(/web: started/)
    program.writeConfig({ processes: { web, 'a-very-long-name-indeed': printUntilStopped('three') } })
    expect((await program.run('reload')).code).toBe(0)
    await running.seen(/^\[a-very-long-name-indeed\] three$/m)
    execFileSync('/bin/sh', ['-c', 'echo go > more'], { cwd: program.folder })
    await running.seen(/^\[web\] {21}two$/m)
    expect(running.stderr).toMatch(/^\[orchestrator\] {12}a-very-long-name-indeed: started/m)
    await running.stop()
  })
})

describe('prefixes of logs (O-31)', () => {
  test('are those of run, with the time of the arrival', async () => {
    program.writeConfig({ processes: { web: printUntilStopped('one') } })
    const running = program.start('run', '--timestamps')
    const [, arrival] = await running.seen(new RegExp(`^\\[web\\] +(${ISO}) one$`, 'm'))
    await running.seen(/ready after|is ready/)
    const { stdout } = await program.run('logs', '--timestamps')
    const [, kept = ''] = new RegExp(`^\\[web\\] {10}(${ISO}) one$`, 'm').exec(stdout) ?? []
    expect(Math.abs(Date.parse(kept) - Date.parse(arrival ?? ''))).toBeLessThan(1000)
    expect(stdout).toMatch(new RegExp(`^\\[orchestrator\\] ${ISO} web: started`, 'm'))
    const [, pid] = await running.seen(/web: started \(pid (\d+)\)/)
    const { stdout: line } = await program.run('logs', '--no-events', '--prefix', '{name}/{pid}')
    expect(line).toMatch(new RegExp(`^web/${pid} +one\n$`))
    await running.stop()
  })
})

test.each([
  ['names', '"names"'],
  ['{nme}', '"{nme}"'],
])('--prefix %s is rejected with exit code 2', async (format, quoted) => {
  const expected = 'name, pid, time, none, or a template with {name}, {pid} or {time}, such as "{time} {name}"'
  for (const command of ['run', 'logs']) {
    expect(await program.run(command, '--prefix', format)).toEqual({
      code: 2,
      stdout: '',
      stderr: `ponix-orchestrator: --prefix ${quoted}: expected ${expected}\n`,
    })
  }
})

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import { builtProgram, Program } from '../../../../test/rig/program.ts'
import { isAlive } from '../../../../test/rig/orchestrator/steerable-child.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { Terminal } from '../../../../test/rig/orchestrator/terminal.ts'
import { runFolder } from '../../supervisor/guard/run-folder.ts'
import { defaultLogFile } from './detach.ts'

let program: CommandLine
beforeAll(() => {
  program = new CommandLine()
})
afterEach(async () => {
  await program.run('down')
})
afterAll(() => program.dispose())

const run = (...args: readonly string[]) => program.run(...args)
const pidIn = (stdout: string) => Number(/\(pid (\d+)\)/.exec(stdout)?.[1])
const logFile = () => {
  const path = join(program.folder, 'commonplace.json')
  const folder = runFolder(path, { XDG_RUNTIME_DIR: program.folder })
  return defaultLogFile(path, folder, { XDG_STATE_HOME: program.folder }) ?? expect.unreachable()
}
const environment = () => ({ ...process.env, XDG_RUNTIME_DIR: program.folder, XDG_STATE_HOME: program.folder })

describe('run --detach', () => {
  test('returns when the orchestrator runs, says where the log is and how to stop it, and down ends it', async () => {
    program.writeConfig({ processes: { a: { command: 'echo hello; exec sleep 600', shell: true } } })
    const { code, stdout, stderr } = await run('--detach')
    const pid = pidIn(stdout)
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: `runs commonplace.json in the background (pid ${pid})\noutput: ${logFile()}\nfollow it with: ponix-orchestrator logs -f\nstop it with:   ponix-orchestrator down\n`,
      stderr: '',
    })
    expect((await run('wait')).code).toBe(0)
    expect((await run('logs')).stdout).toContain('hello')
    expect((await run('down')).code).toBe(0)
    expect(isAlive(pid)).toBe(false)
    expect((await run('logs')).stderr).toMatch(/; the output of the last run in the background is in \S+\.log\n$/)
    const log = readFileSync(logFile(), 'utf8')
    expect(log).toMatch(/^\[a\] +hello$/m)
    expect(log).toMatch(/^\[orchestrator\] everything is stopped/m)
  })

  test('keeps its folder, umask and options, in a session without a terminal', async () => {
    const command = 'umask; pwd; ps -o tty= -p $$; exec sleep 600'
    program.writeConfig({ processes: { a: { command, shell: true }, b: sleeper } }, 'other.json')
    const line = `umask 027; "$0" "$1" -d --wait --only a --config other.json --log-format json --log-file out.log`
    const caller = new Program('/bin/sh', ['-c', line, process.execPath, builtProgram('cli')], {
      cwd: program.folder,
      env: environment(),
    })
    const { code, stdout } = await caller.outcome
    onTestFinished(async () => void (await run('down', '--config', 'other.json')))
    expect([code, stdout]).toEqual([0, expect.stringContaining(`output: ${join(program.folder, 'out.log')}\n`)])
    expect(stdout).toContain('stop it with:   ponix-orchestrator down --config other.json\n')
    const lines = readFileSync(join(program.folder, 'out.log'), 'utf8').trim().split('\n')
    const records = lines.map((line): { process: string; line?: string } => JSON.parse(line))
    expect(records.flatMap(({ process: name, line }) => (name === 'a' ? [line?.trim()] : []))).toEqual([
      '0027',
      program.folder,
      '?',
    ])
    expect(records.some(({ process: name }) => name === 'b')).toBe(false)
  })

  test('holds no descriptor of its caller', async () => {
    program.writeConfig({ processes: { a: sleeper } })
    const options = { cwd: program.folder, env: environment() }
    const substitution = 'x=$("$0" "$1" run -d 2>&1); echo "$x"'
    const first = new Program('bash', ['-c', substitution, process.execPath, builtProgram('cli')], options)
    expect((await first.outcome).stdout).toMatch(/^runs commonplace\.json in the background/)
    expect((await run('down')).code).toBe(0)
    // cat ends when the pipe is closed everywhere; 63 is a descriptor as bash uses it for a process substitution.
    const extra = '"$0" "$1" run -d 5>&1 63>&1 >/dev/null 2>&1 | cat; echo end'
    const second = new Program('bash', ['-c', extra, process.execPath, builtProgram('cli')], options)
    expect((await second.outcome).stdout).toBe('end\n')
    expect((await run('status')).code).toBe(0)
  })

  test('survives its terminal', async () => {
    program.writeConfig({ processes: { a: sleeper } })
    const shell = new Terminal('/bin/sh', [], { cwd: program.folder, env: environment() })
    shell.press(`'${process.execPath}' '${builtProgram('cli')}' run -d --wait\r`)
    const [, pid] = await shell.seen(/in the background \(pid (\d+)\)/)
    await shell.seen(/stop it with/)
    await shell.kill()
    expect(isAlive(Number(pid))).toBe(true)
    expect((await run('status')).stdout).toMatch(/^a +running/m)
  })

  test('reports mistakes in the foreground, and rejects a second start', async () => {
    program.writeConfig('{"processes": {"a": {"comand": "x"}}}')
    const invalid = await run('-d')
    expect([invalid.code, invalid.stderr]).toEqual([2, expect.stringContaining('did you mean "command"?')])
    program.writeConfig({ processes: { a: sleeper } })
    expect((await run('-d')).code).toBe(0)
    const second = await run('-d')
    expect([second.code, second.stdout]).toEqual([2, ''])
    expect(second.stderr).toMatch(/^ponix-orchestrator: \S+ is already run by another ponix-orchestrator \(pid \d+\)/)
    expect(await run('--wait')).toMatchObject({ code: 2, stderr: expect.stringContaining('--wait needs --detach') })
  })

  const advice = 'set XDG_STATE_HOME to a folder that you can write to, or name a log file with --log-file'
  // In /proc, the system answers ENOENT although the parent exists.
  test.each([
    [
      [],
      { XDG_STATE_HOME: '/proc/state' },
      `cannot create the folder /proc/state: no such file or directory (ENOENT); ${advice}`,
    ],
    [
      [],
      { XDG_STATE_HOME: '', HOME: '/dev/null' },
      `cannot create the folder /dev/null/.local: not a directory (ENOTDIR); ${advice}`,
    ],
    [[], { XDG_STATE_HOME: '', HOME: '' }, `this user has no home folder, where the log file is kept; ${advice}`],
    [
      ['--log-file', '/dev/null/x'],
      {},
      'the log file /dev/null/x cannot be written: not a directory (ENOTDIR); name another log file with --log-file',
    ],
    [
      ['--log-file', '/dev'],
      {},
      'the log file /dev cannot be written: illegal operation on a directory (EISDIR); name another log file with --log-file',
    ],
  ])('exits with 2 and says what to do if the log file cannot be written: %j, %j', async (args, changed, message) => {
    program.writeConfig({ processes: { a: sleeper } })
    program.environment = changed
    onTestFinished(() => void (program.environment = {}))
    expect(await run('-d', ...args)).toEqual({ code: 2, stdout: '', stderr: `ponix-orchestrator: ${message}\n` })
  })
})

describe('run --detach --wait', () => {
  test('ends with 0 when all processes are ready or completed', async () => {
    const rig = await openRig()
    program.writeConfig({
      processes: {
        api: { ...rig.program('api'), readiness_probe: { notify: true } },
        job: { command: 'true', kind: 'task' },
      },
    })
    const starting = program.start('-d', '--wait')
    const api = await rig.nextStart('api')
    expect(starting.hasEnded).toBe(false)
    await api.notify()
    expect((await starting.outcome).code).toBe(0)
    expect((await run('status')).stdout).toMatch(/^api +ready/m)
  })

  test('ends with 1 and the output of a start that fails', async () => {
    program.writeConfig({ processes: { a: sleeper, job: { command: 'echo oops; exit 3', shell: true, kind: 'task' } } })
    const { code, stdout, stderr } = await run('-d', '--wait')
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toBe(`job: failed permanently: exited with code 3\n  | oops\nthe output is in ${logFile()}\n`)
    expect(existsSync(join(program.folder, 'ponix-orchestrator'))).toBe(true)
    expect((await run('status')).code).toBe(3)
  })

  test('ends with 1 and leaves the others running if a process fails alone', async () => {
    const failing = { command: 'echo oops; exit 4', shell: true, restart: { policy: 'never' } }
    program.writeConfig({ processes: { a: sleeper, failing: { ...failing, readiness_probe: { log_line: 'never' } } } })
    const { code, stderr } = await run('-d', '--wait')
    expect(code).toBe(1)
    const [reason, output, location, advice] = stderr.split('\n')
    expect([reason, output, location]).toEqual([
      'ponix-orchestrator: cannot become ready: failing (failed: exited with code 4)',
      '  | oops',
      `the output is in ${logFile()}`,
    ])
    expect(advice).toMatch(
      /^the orchestrator keeps running in the background \(pid \d+\); stop it with: ponix-orchestrator down$/,
    )
    expect((await run('status')).stdout).toMatch(/^a +running/m)
  })

  test('shows the progress of the start on a terminal', async () => {
    const rig = await openRig()
    const probed = (name: string) => ({ ...rig.program(name), readiness_probe: { notify: true } })
    program.writeConfig({ processes: { db: probed('db'), api: { ...probed('api'), depends_on: ['db'] } } })
    const terminal = new Terminal(process.execPath, [builtProgram('cli'), 'run', '-d', '--wait'], {
      cwd: program.folder,
      env: environment(),
      columns: 200,
    })
    const db = await rig.nextStart('db')
    await terminal.seen(/waiting for db: not ready/)
    await db.notify()
    await terminal.seen(/db: ready after/)
    const api = await rig.nextStart('api')
    await api.notify()
    await terminal.seen(/runs commonplace\.json in the background/)
    expect(await terminal.exitCode).toBe(0)
  })

  test('leaves the orchestrator running after Ctrl-C, and reports that', async () => {
    const rig = await openRig()
    program.writeConfig({ processes: { api: { ...rig.program('api'), readiness_probe: { notify: true } } } })
    const starting = program.start('-d', '--wait')
    const api = await rig.nextStart('api')
    starting.signalGroup('SIGINT')
    const { code, stderr } = await starting.outcome
    expect([code, stderr]).toEqual([130, expect.stringContaining('the orchestrator keeps running in the background')])
    await api.notify()
    expect((await run('wait')).code).toBe(0)
  })
})

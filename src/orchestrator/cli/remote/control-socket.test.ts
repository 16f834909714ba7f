import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import type { Program } from '../../../../test/rig/program.ts'

let program: CommandLine
let running: Program[] = []
let count = 0
/** The path of the control socket, in a folder that does not exist yet. */
let path = ''
let control: { readonly socket: string }
beforeAll(() => {
  program = new CommandLine()
})
beforeEach(() => {
  control = { socket: `run-${++count}/control` }
  path = join(program.folder, control.socket)
})
afterEach(async () => {
  for (const started of running) started.signal('SIGTERM')
  await Promise.all(running.map(({ outcome }) => outcome))
  running = []
  program.environment = {}
})
afterAll(() => program.dispose())

const processes = { a: { command: 'sleep', args: ['600'] } }

/** Resolves when the processes are ready. */
async function start(...args: readonly string[]): Promise<Program> {
  const started = program.start(...args)
  running.push(started)
  await started.seen(/ready after/)
  return started
}

/** Creates the socket of a program that was killed. */
async function leaveStaleSocket(): Promise<void> {
  mkdirSync(join(path, '..'), { recursive: true })
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'close')
}

describe('control.socket (O-9)', () => {
  test('is used by every command, can be opened only by this user, and is removed at the end', async () => {
    program.writeConfig({ control, processes })
    const started = await start()
    expect((await program.run('status')).stdout).toMatch(/^a +running/m)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700)
    expect((await program.run('restart', 'a')).stdout).toMatch(/^a: restarted \(pid \d+\)$/m)
    expect((await program.run('logs')).code).toBe(0)
    expect((await program.run('reload')).stdout).toBe('nothing has changed\n')
    expect((await program.run('down')).code).toBe(0)
    expect((await started.outcome).code).toBe(0)
    expect(existsSync(path)).toBe(false)
  })

  test('is found by commands with another XDG_RUNTIME_DIR, and by commands after the file has become invalid', async () => {
    program.writeConfig({ control, processes })
    await start()
    await program.run('status')
    const elsewhere = join(program.folder, `elsewhere-${count}`)
    mkdirSync(elsewhere, { mode: 0o700 })
    program.environment = { XDG_RUNTIME_DIR: elsewhere }
    expect((await program.run('status')).stdout).toMatch(/^a +running/m)
    program.environment = {}
    program.writeConfig('{ not even JSON')
    expect((await program.run('status')).stdout).toMatch(/^a +running/m)
  })

  test('replaces the stale socket of a killed program', async () => {
    await leaveStaleSocket()
    program.writeConfig({ control, processes })
    const { stderr } = await start()
    expect((await program.run('status')).stdout).toMatch(/^a +running/m)
    expect(stderr).not.toContain('no control socket')
  })

  test('does not replace the socket of another program, and a warning reports it', async () => {
    mkdirSync(join(path, '..'))
    const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'
    // The orchestrator only connects; a command sends a request.
    const other = createServer((connection) => connection.once('data', () => connection.end(answer))).listen(path)
    onTestFinished(() => void other.close())
    await once(other, 'listening')
    program.writeConfig({ control, processes })
    const started = await start()
    await started.seen(/no control socket, .*: another program listens at .*; stop it, or set another path\n/)
    expect(await program.run('status')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'ponix-orchestrator: unexpected response; the control socket belongs to another program or version\n',
    })
  })

  test('does not replace a file at its path, and a warning reports it', async () => {
    mkdirSync(join(path, '..'))
    writeFileSync(path, 'precious')
    program.writeConfig({ control, processes })
    const started = await start()
    await started.seen(/no control socket, .* exists and is not a socket; remove it, or set another path\n/)
    expect(readFileSync(path, 'utf8')).toBe('precious')
  })

  test('cannot be created where the system creates no folders, and a warning reports it', async () => {
    program.writeConfig({ control: { socket: '/proc/x/y/control' }, processes })
    const started = await start()
    await started.seen(/no control socket.*\n/)
    expect(started.stderr).toMatch(
      /: cannot create the folder \/proc\/x: no such file or directory \(ENOENT\); set another path\n/,
    )
  })

  test('rejects a command for another configuration file', async () => {
    program.writeConfig({ control, processes }, 'first.json')
    await start('--config', 'first.json')
    await program.run('status', '--config', 'first.json')
    program.writeConfig({ control, processes }, 'second.json')
    const own = join(program.folder, 'first.json')
    const expected = join(program.folder, 'second.json')
    expect(await program.run('down', '--config', 'second.json')).toEqual({
      code: 1,
      stdout: '',
      stderr: `ponix-orchestrator: the orchestrator on this socket runs ${own}, not ${expected}; set a different control.socket in each file\n`,
    })
    expect((await program.run('status', '--config', 'first.json')).stdout).toMatch(/^a +running/m)
  })
})

describe('"control": false (O-9)', () => {
  test('disables every command, which prints one line and exits with 1', async () => {
    program.writeConfig({ control: false, processes })
    const { child } = await start()
    for (const args of [['status'], ['logs'], ['stop', 'a'], ['reload'], ['down']]) {
      expect(await program.run(...args)).toEqual({
        code: 1,
        stdout: '',
        stderr: `ponix-orchestrator: the orchestrator that runs commonplace.json (pid ${child.pid}) accepts no commands: "control" is false\n`,
      })
    }
  })

  test('the commands report that no orchestrator is running if none is', async () => {
    program.writeConfig({ control: false, processes })
    expect(await program.run('status')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('no orchestrator runs'),
    })
  })
})

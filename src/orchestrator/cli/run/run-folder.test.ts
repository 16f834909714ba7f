import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import { type Outcome, Program } from '../../../../test/rig/program.ts'

let program: CommandLine
beforeAll(() => {
  program = new CommandLine()
})
afterAll(() => program.dispose())

describe('the run folder', () => {
  test('contains lock, record and socket during a run, and is removed at its end', async () => {
    program.writeConfig({ processes: { a: sleeper } })
    const running = program.start()
    await running.seen(/ready after/)
    await program.run('status')
    const [folder = '', ...files] = program.runFolders().toSorted()
    expect(files.toSorted()).toEqual(['control', 'lock', 'run.json'].map((name) => join(folder, name)))
    running.signal('SIGINT')
    expect((await running.outcome).code).toBe(0)
    expect(program.runFolders()).toEqual([])
  })

  test('is removed after a kill by a second signal, and is not created by a command or by a rejected start', async () => {
    program.writeConfig({ processes: { a: { command: `trap '' TERM; while :; do sleep 600; done`, shell: true } } })
    const running = program.start()
    await running.seen(/ready after/)
    running.signal('SIGTERM')
    await running.seen(/stopping everything/)
    running.signal('SIGTERM')
    expect((await running.outcome).code).toBe(143)
    await program.run('status')
    program.writeConfig({ processes: { a: { command: '/nowhere' } } })
    expect((await program.run()).code).toBe(1)
    expect(program.runFolders()).toEqual([])
  })

  test('that cannot be written ends the start with the reason', async () => {
    program.writeConfig({ processes: { a: sleeper } })
    // Every write to a file fails, as on a full disk.
    const { code, stderr } = await program.startShell('ulimit -f 0; ponix run').outcome
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(
        /cannot write \S+run\.json: file too large \(EFBIG\); set XDG_RUNTIME_DIR to a folder with free space\n$/,
      ),
    ])
    expect(program.guards()).toEqual([])
    expect(program.runFolders()).toEqual([])
  })

  // Only root can start a program as another user.
  test.skipIf(process.getuid?.() !== 0)('belongs to a user whom the system knows by id only', async () => {
    const uid = 54_321
    program.writeConfig({ processes: { a: { command: 'true', kind: 'task' } } })
    chmodSync(program.folder, 0o755)
    const temporary = join(program.folder, 'temporary')
    mkdirSync(temporary)
    chownSync(temporary, uid, uid)
    const env = { PATH: process.env['PATH'], TMPDIR: temporary }
    const running = new Program(process.execPath, [program.path], { cwd: program.folder, env, uid, gid: uid })
    expect(await running.outcome).toMatchObject({ code: 0, stderr: expect.stringContaining('a: completed') })
    expect(readdirSync(temporary)).toEqual([`ponix-orchestrator-${uid}`])
  })

  test('of a killed orchestrator is removed by its guard when everything is stopped', async () => {
    program.writeConfig({ processes: { a: sleeper } })
    const killed = program.start()
    await killed.seen(/ready after/)
    await program.run('status')
    await killed.kill()
    await expect.poll(() => program.guards(), { timeout: 15_000 }).toEqual([])
    expect(program.runFolders()).toEqual([])
  })

  test('of an orchestrator that was killed together with its guard is removed at the end of the next run', async () => {
    program.writeConfig({ processes: { a: sleeper } })
    const killed = program.start()
    await killed.seen(/ready after/)
    await program.run('status')
    for (const guard of program.guards()) process.kill(guard, 'SIGSTOP')
    await killed.kill()
    for (const guard of program.guards()) process.kill(guard, 'SIGKILL')
    await expect.poll(() => program.guards()).toEqual([])
    expect(program.runFolders()).not.toEqual([])
    program.writeConfig({ control: false, processes: { a: { command: 'true', kind: 'task' } } })
    expect((await program.run()).code).toBe(0)
    expect(program.runFolders()).toEqual([])
  })

  test('lets only one orchestrator run if several start while a run ends', async () => {
    const once = 'mkdir busy || echo overlap >> overlaps; rmdir busy; echo ran >> runs'
    program.writeConfig({ processes: { a: { command: once, shell: true, kind: 'task' } } })
    writeFileSync(join(program.folder, 'overlaps'), '')
    mkdirSync(join(program.folder, 'ponix-orchestrator'), { recursive: true, mode: 0o700 })
    const failures: Outcome[] = []
    const starters = Array.from({ length: 6 }, async () => {
      for (let round = 0; round < 5; round++) {
        const outcome = await program.run()
        const isRejected = outcome.code === 2 && outcome.stderr.includes('is already run by another ponix-orchestrator')
        if (outcome.code !== 0 && !isRejected) failures.push(outcome)
      }
    })
    await Promise.all(starters)
    expect(failures).toEqual([])
    expect(readFileSync(join(program.folder, 'overlaps'), 'utf8')).toBe('')
    expect(readFileSync(join(program.folder, 'runs'), 'utf8')).toMatch(/^(ran\n)+$/)
    expect(program.guards()).toEqual([])
    expect(program.runFolders()).toEqual([])
  }, 120_000)
})

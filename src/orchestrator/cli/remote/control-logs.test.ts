import { execFileSync } from 'node:child_process'
import { request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { runFolder } from '../../supervisor/guard/run-folder.ts'
import { controlCommands, echo, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'

const control = controlCommands()
const { start, status } = control

describe('the command logs (O-9)', () => {
  test('prints the last lines of all or of the named processes with their prefixes', async () => {
    await start({
      web: { command: 'for i in 1 2 3; do echo line $i; done; exec sleep 600', shell: true },
      b: echo('hello'),
    })
    await control.running?.seen(/line 3/)
    await control.running?.seen(/hello/)
    const all = await control.program.run('logs', '--tail', '2', '--no-events')
    expect(all.stdout.split('\n').sort()).toEqual([
      '',
      '[b]            hello',
      '[web]          line 2',
      '[web]          line 3',
    ])
    expect((await control.program.run('logs', '--tail', '1', '--no-events', 'web')).stdout).toBe(
      '[web]          line 3\n',
    )
    const [line] = (await control.program.run('logs', '--json', '--no-events', 'b')).stdout.split('\n')
    const { pid } = (await status())['b'] ?? {}
    expect(JSON.parse(line ?? '')).toEqual({
      time: expect.any(Number),
      process: 'b',
      pid,
      stream: 'stdout',
      line: 'hello',
    })
  })

  test('streams new lines with -f until the orchestrator ends', async () => {
    const rig = await openRig()
    await start({ a: rig.program('a') })
    const a = await rig.nextStart('a')
    await a.print('before\n')
    const following = control.program.start('logs', '-f', 'a')
    await following.seen(/before/)
    await a.printError('after\n')
    await following.seen(/\[a\] +after/)
    control.running?.signal('SIGTERM')
    expect((await following.outcome).code).toBe(0)
  })

  test('counts the lines that a stuck follower missed, and slows no process', async () => {
    const rig = await openRig()
    const { child } = await start({ a: rig.program('a') })
    child.stdout?.resume()
    await status()
    const a = await rig.nextStart('a')
    const { socketPath } = runFolder(`${control.program.folder}/commonplace.json`, {
      XDG_RUNTIME_DIR: control.program.folder,
    })
    const response = await new Promise<NodeJS.ReadableStream>((resolve) => {
      request({ socketPath, path: '/logs?tail=0&follow=1' }, resolve).end()
    })
    await a.print(`${'x'.repeat(1023)}\n`, 64 * 1024)
    let text = ''
    let isTold = false
    for await (const chunk of response) {
      text += String(chunk)
      if (!isTold && /\{"dropped":\d+\}\n/.test(text)) {
        isTold = true
        await a.print('the last one\n')
      }
      if (text.includes('the last one')) break
    }
    expect(text).toMatch(/\{"dropped":\d+\}\n[^]*the last one/)
    expect(text.length).toBeLessThan(32 * 1024 * 1024)
  })

  test('shows pino records in readable form at a terminal and unchanged elsewhere', async () => {
    const record = '{"level":30,"time":1,"pid":2,"hostname":"h","name":"web","msg":"listening","port":80}'
    await start({ web: { command: `echo '${record}'; exec sleep 600`, shell: true } })
    await control.running?.seen(/listening/)
    expect((await control.program.run('logs', '--no-events')).stdout).toBe(`[web]          ${record}\n`)
    const shown = execFileSync(
      'script',
      ['-qec', `${process.execPath} ${control.program.path} logs --no-events`, '/dev/null'],
      {
        cwd: control.program.folder,
        env: { ...process.env, XDG_RUNTIME_DIR: control.program.folder, NO_COLOR: '1' },
        encoding: 'utf8',
      },
    )
    expect(shown).toMatch(/^\[web\] {10}\[[\d:.]+\] INFO: listening \{"port":80\}\r\n$/)
  })
})

describe('the messages of the orchestrator in logs (O-9)', () => {
  test('-f continues after the exit of a process, with its exit and its restart', async () => {
    const rig = await openRig()
    await start({ a: rig.program('a'), b: rig.program('b') })
    const first = await rig.nextStart('a')
    await first.print('before\n')
    const following = control.program.start('logs', '-f', 'a')
    await following.seen(/before/)
    await first.exit(3)
    const b = await rig.nextStart('b')
    await b.exit(4)
    const second = await rig.nextStart('a')
    await second.print('after\n')
    await following.seen(/^\[a\] +after$/m)
    const exited =
      /^\[orchestrator\] a: exited with code 3 .*\n\[orchestrator\] a: restarts in .*\n\[orchestrator\] a: started again /m
    expect(following.stdout).toMatch(exited)
    expect(following.stdout).not.toMatch(/ b: /)
    following.signal('SIGINT')
    await following.outcome
  })

  test('are those of all processes and of the whole graph without names, in the order of the output', async () => {
    await start({ a: { command: 'echo hello; exit 3', shell: true, restart: { policy: 'never' } }, b: sleeper })
    await control.running?.seen(/failed permanently/)
    const { stdout } = await control.program.run('logs')
    expect(stdout).toMatch(
      /a: started \(pid \d+\)\n[^]*^\[a\] +hello\n\[orchestrator\] a: exited with code 3 after .*\n\[orchestrator\] a: failed permanently/m,
    )
    expect(stdout).toMatch(/^\[orchestrator\] b: started/m)
    const lines = control.running?.stderr.trimEnd().split('\n') ?? []
    expect(stdout.split('\n').filter((line) => line.startsWith('[orchestrator]'))).toEqual(lines)
    expect((await control.program.run('logs', '--no-events')).stdout).toBe('[a]            hello\n')
  })

  test('are records of their own kind with --json', async () => {
    await start({ a: { ...echo('hello'), readiness_probe: { log_line: 'hello' } } })
    const { stdout } = await control.program.run('logs', '--json', 'a')
    const records = stdout
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line))
    expect(records).toEqual([
      {
        time: expect.any(Number),
        process: 'a',
        level: 'info',
        message: expect.stringMatching(/^a: started/),
        event: { type: 'process_started', process: 'a', pid: expect.any(Number), attempt: 0, again: false },
      },
      expect.objectContaining({ process: 'a', stream: 'stdout', line: 'hello' }),
      expect.objectContaining({
        event: { type: 'process_ready', process: 'a', afterMs: expect.any(Number), wasUnhealthy: false },
      }),
    ])
  })

  test('-f without names includes the processes that a reload adds, and messages about the reload', async () => {
    await start({ a: echo('from a') })
    await control.running?.seen(/from a/)
    const following = control.program.start('logs', '-f')
    await following.seen(/from a/)
    control.program.writeConfig({ processes: { a: echo('from a'), 'a-longer-name': echo('from the new one') } })
    expect((await control.program.run('reload')).code).toBe(0)
    await following.seen(/^\[a-longer-name\] from the new one$/m)
    expect(following.stdout).toContain('[orchestrator] configuration reloaded: added a-longer-name\n')
    following.signal('SIGINT')
    await following.outcome
  })

  test('-f with the name of a replicated process includes the instances that a reload adds', async () => {
    const worker = { command: 'echo "instance $PONIX_REPLICA"; exec sleep 600', shell: true }
    await start({ worker: { ...worker, replicas: 1 }, b: sleeper })
    const following = control.program.start('logs', '-f', '--no-events', 'worker')
    await following.seen(/instance 1/)
    control.program.writeConfig({ processes: { worker: { ...worker, replicas: 2 }, b: sleeper } })
    await control.program.run('reload')
    await following.seen(/^\[worker#2\] +instance 2$/m)
    expect(following.stdout).not.toContain('[b]')
    following.signal('SIGINT')
    await following.outcome
  })
})

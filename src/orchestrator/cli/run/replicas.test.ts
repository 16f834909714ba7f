import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { CommandLine } from '../../../../test/rig/orchestrator/command-line.ts'
import { ChildRig } from '../../../../test/rig/orchestrator/steerable-child.ts'
import { statusAnswer } from '../../control/protocol.ts'

let program: CommandLine
beforeAll(() => {
  program = new CommandLine()
})
afterAll(() => program.dispose())

async function states(): Promise<Readonly<Record<string, string>>> {
  const { stdout } = await program.run('status', '--json')
  const { processes } = statusAnswer.parse(JSON.parse(stdout))
  return Object.fromEntries(processes.map(({ name, state }) => [name, state]))
}

//  web ── worker ×2
test('instances can be stopped and started together or individually, and a reload changes their number (O-9, O-39)', async () => {
  const rig = await ChildRig.open()
  onTestFinished(() => rig[Symbol.asyncDispose]())
  const worker = rig.program('worker')
  const write = (replicas: number) =>
    program.writeConfig({
      processes: { web: { ...rig.program('web'), depends_on: ['worker'] }, worker: { ...worker, replicas } },
    })
  write(2)
  const running = program.start()
  const children = [await rig.nextStart('worker'), await rig.nextStart('worker')]
  const web = await rig.nextStart('web')
  const numbers = await Promise.all(children.map(async (child) => (await child.environment())['PONIX_REPLICA']))
  expect(new Set(numbers)).toEqual(new Set(['1', '2']))

  expect((await program.run('stop', 'worker')).stdout).toBe(
    'worker#1: stopped\nworker#2: stopped\nweb depends on them and keeps running\n',
  )
  expect((await program.run('start', 'worker#2')).stdout).toMatch(/^worker#2: started \(pid \d+\)\n$/)
  expect((await (await rig.nextStart('worker')).environment())['PONIX_REPLICA']).toBe('2')
  expect(await states()).toEqual({ web: 'running', 'worker#1': 'stopped', 'worker#2': 'running' })
  expect((await program.run('stop', 'worker#3')).stderr).toMatch(/unknown process "worker#3"; did you mean "worker#/)

  write(3)
  expect((await program.run('reload')).stdout).toBe('added: worker#3\n')
  const third = await rig.nextStart('worker')
  await third.print('from the third\n')
  await running.seen(/\[worker#3\] +from the third/)
  expect((await program.run('logs', 'worker')).stdout).toContain('from the third')
  write(2)
  expect((await program.run('reload')).stdout).toBe('removed: worker#3\n')
  await third.gone
  expect([web.isGone, rig.starts('web'), rig.starts('worker')]).toEqual([false, 1, 4])
  running.signal('SIGTERM')
  expect((await running.outcome).code).toBe(0)
})

//  web ── worker ×1 ── db
test('scale changes the number of instances until the next reload, and nothing else (O-39)', async () => {
  const rig = await ChildRig.open()
  onTestFinished(() => rig[Symbol.asyncDispose]())
  const write = (mode: string) => {
    program.writeConfig(`MODE=${mode}\n`, 'worker.env')
    program.writeConfig({
      processes: {
        web: { ...rig.program('web'), startup_timeout_ms: mode === 'old' ? 60_000 : 70_000, depends_on: ['worker'] },
        worker: { ...rig.program('worker'), env_file: 'worker.env', replicas: 1, depends_on: ['db'] },
        db: rig.program('db'),
      },
    })
  }
  write('old')
  const running = program.start()
  const [db, first, web] = [await rig.nextStart('db'), await rig.nextStart('worker'), await rig.nextStart('web')]

  write('new')
  expect(await program.run('scale', 'worker=3')).toMatchObject({ code: 0, stdout: 'added: worker#2, worker#3\n' })
  const added = [await rig.nextStart('worker'), await rig.nextStart('worker')]
  const environments = await Promise.all(added.map((child) => child.environment()))
  expect(environments.map(({ PONIX_REPLICA, MODE }) => `${PONIX_REPLICA} ${MODE}`).toSorted()).toEqual([
    '2 old',
    '3 old',
  ])
  expect(await program.run('scale', 'worker=1')).toMatchObject({ code: 0, stdout: 'removed: worker#2, worker#3\n' })
  await Promise.all(added.map((child) => child.gone))
  expect(await program.run('scale', 'worker=1')).toMatchObject({ code: 0, stdout: 'nothing has changed\n' })
  expect([db.isGone, first.isGone, web.isGone]).toEqual([false, false, false])

  await program.run('scale', 'worker=2')
  await rig.nextStart('worker')
  expect((await program.run('reload')).stdout).toBe('removed: worker#2; changed: web, worker#1\n')
  expect(db.isGone).toBe(false)
  running.signal('SIGTERM')
  expect((await running.outcome).code).toBe(0)
})

test('scale starts the new instances of a left-out process that a command has started', async () => {
  program.writeConfig({
    processes: {
      web: { command: 'sleep', args: ['600'] },
      worker: { command: 'sleep', args: ['600'], replicas: 1, profiles: ['dev'] },
    },
  })
  const running = program.start()
  await running.seen(/the process is ready/)
  await program.run('start', 'worker')
  expect(await program.run('scale', 'worker=2')).toMatchObject({ code: 0, stdout: 'added: worker#2\n' })
  expect(await states()).toEqual({ web: 'running', 'worker#1': 'running', 'worker#2': 'running' })
  expect(await program.run('scale', 'worker=1')).toMatchObject({ code: 0, stdout: 'removed: worker#2\n' })
  running.signal('SIGTERM')
  expect((await running.outcome).code).toBe(0)
})

test('scale rejects in one line what it cannot do, and changes nothing', async () => {
  const worker = { command: 'sleep', args: ['600'], replicas: 1 }
  program.writeConfig({
    processes: {
      web: { ...worker, replicas: undefined },
      worker,
      probed: { ...worker, liveness_probe: { tcp_socket: '127.0.0.1:1', initial_delay_ms: 600_000 } },
      logged: { ...worker, log: { file: 'one.log' } },
      other: worker,
    },
  })
  const running = program.start()
  await running.seen(/all 5 processes are ready/)
  const before = await states()
  for (const [typed, code, message] of [
    [
      'web=2',
      1,
      '"web" has no "replicas", so it runs once; to run 2, add "replicas": 2 to it in the file and run "ponix-orchestrator reload", which restarts it as "web#1" and so on; nothing was changed',
    ],
    ['wrker=2', 1, 'unknown process "wrker"; did you mean "worker"?; nothing was changed'],
    ['worker=two', 2, 'scale "worker=two": expected a whole number from 1 to 1000 after "="'],
    ['probed=2', 1, expect.stringMatching(/^processes\.probed\.liveness_probe: probes the same address .*changed$/)],
    ['logged=2', 1, expect.stringMatching(/^processes\.logged\.log\.file: all replicas would write .*changed$/)],
  ] as const) {
    const { stderr, ...outcome } = await program.run('scale', 'other=2', typed)
    expect(outcome).toMatchObject({ code, stdout: '' })
    expect(stderr.replace(/^ponix-orchestrator: (.*)\n$/, '$1')).toEqual(message)
  }
  expect(await states()).toEqual(before)
  running.signal('SIGTERM')
  expect((await running.outcome).code).toBe(0)
})

test('scale answers 1 with the reason if a new instance fails', async () => {
  program.writeConfig({
    processes: {
      worker: {
        command: 'if [ "$PONIX_REPLICA" = 2 ]; then exit 3; fi; exec sleep 600',
        shell: true,
        restart: { policy: 'never' },
        readiness_probe: { exec: 'true' },
        replicas: 1,
      },
    },
  })
  const running = program.start()
  await running.seen(/process is ready/)
  expect(await program.run('scale', 'worker=2')).toEqual({
    code: 1,
    stdout: 'added: worker#2\n',
    stderr: 'ponix-orchestrator: worker#2 failed: exited with code 3\n',
  })
  await running.seen(/scaled: added worker#2\n[^]*after scaling, worker#2 failed: exited with code 3\n/)
  expect(running.stderr).not.toContain('reload')
  expect(await states()).toEqual({ 'worker#1': 'ready', 'worker#2': 'failed' })
  running.signal('SIGTERM')
  expect((await running.outcome).code).toBe(0)
})

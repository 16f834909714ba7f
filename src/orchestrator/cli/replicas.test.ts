import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { CommandLine } from '../../../test/rig/command-line.ts'
import { ChildRig } from '../../../test/rig/steerable-child.ts'
import { statusAnswer } from '../control/protocol.ts'

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

  expect((await program.run('stop', 'worker')).stdout).toMatch(/^worker#1 +stopped.*\nworker#2 +stopped/m)
  expect((await program.run('start', 'worker#2')).stdout).toMatch(/^worker#2 +running/m)
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

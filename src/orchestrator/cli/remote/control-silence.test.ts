import { afterEach, expect, test } from 'vitest'
import { controlCommands, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'

const control = controlCommands()
// A suspended orchestrator does not stop.
afterEach(() => control.running?.signal('SIGCONT'))

test('every command but logs -f gives up on a suspended orchestrator within seconds, and not during a slow stop (O-9)', async () => {
  const rig = await openRig()
  const shutdown = { timeout_ms: 120_000 }
  const running = await control.start({ slow: { ...rig.program('slow'), shutdown }, a: sleeper })
  const slow = await rig.nextStart('slow')
  await slow.keep('SIGTERM')
  await control.status()
  const stopped = control.program.run('stop', 'slow')
  expect(await slow.nextSignal()).toBe('SIGTERM')
  running.signal('SIGSTOP')
  const { pid } = running
  const following = control.program.start('logs', '-f')
  const commands = [['status'], ['logs'], ['stop', 'a'], ['start', 'a'], ['restart', 'a'], ['reload'], ['down']]
  const outcomes = await Promise.all(commands.map((args) => control.program.run(...args)))
  const message = `the orchestrator that runs commonplace.json (pid ${pid}) has not answered within 10 s: it is suspended or blocked; resume it with "fg" in its terminal or "kill -CONT ${pid}", or end it with "kill -KILL ${pid}", after which its guard stops the processes`
  const silence = { code: 1, stdout: '', stderr: `ponix-orchestrator: ${message}\n` }
  expect(outcomes).toEqual(commands.map(() => silence))
  running.signal('SIGCONT')
  await following.seen(/slow: stopping/)
  following.signal('SIGINT')
  await following.outcome
  await slow.exit(0)
  expect(await stopped).toMatchObject({ code: 0, stdout: expect.stringMatching(/^slow: stopped$/m) })
}, 60_000)

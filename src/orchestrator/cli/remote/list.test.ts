import { join } from 'node:path'
import { expect, test } from 'vitest'
import { controlCommands, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'

const control = controlCommands()
const { start } = control

test('ls lists the running orchestrators with the number of their ready processes', async () => {
  const { program } = control
  expect(await program.run('ls')).toEqual({ code: 0, stdout: 'no orchestrator runs\n', stderr: '' })

  const running = await start({
    web: sleeper,
    job: { kind: 'task', command: 'true' },
    left: { ...sleeper, disabled: true },
  })
  program.writeConfig({ control: false, processes: { silent: sleeper } }, 'silent.json')
  const silent = program.start('--config', 'silent.json')
  await silent.seen(/process is ready/)
  expect(await program.run('stop', 'web')).toMatchObject({ code: 0 })

  const [first, second] = [join(program.folder, 'commonplace.json'), join(program.folder, 'silent.json')]
  const time = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/
  const { stdout } = await program.run('ls')
  expect(stdout.split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
    ['PID', 'SINCE', 'READY', 'FILE'],
    [String(running.pid), expect.stringMatching(time), '1/2', first],
    [String(silent.pid), expect.stringMatching(time), '-', second],
    [''],
  ])
  expect(JSON.parse((await program.run('ls', '--json')).stdout)).toEqual({
    orchestrators: [
      { config: first, pid: running.pid, since: expect.any(String), ready: 1, processes: 2 },
      { config: second, pid: silent.pid, since: expect.any(String), ready: null, processes: null },
    ],
    orphaned: [],
  })
  silent.signal('SIGTERM')
  await silent.outcome
})

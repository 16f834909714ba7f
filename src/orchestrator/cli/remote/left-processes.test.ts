import { describe, expect, test } from 'vitest'
import { controlCommands, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { isAlive } from '../../../../test/rig/orchestrator/steerable-child.ts'
import { openRig } from '../../../../test/rig/orchestrator/supervised-graph.ts'

const control = controlCommands()
const run = (...args: readonly string[]) => control.program.run(...args)

describe.each([
  { where: 'in its process group', session: false },
  { where: 'in a session of its own', session: true },
])('a completed task that has left a daemon $where (O-9)', ({ session }) => {
  async function completedTask() {
    const rig = await openRig()
    const running = control.begin({ pg: { ...rig.program('pg'), kind: 'task' }, web: sleeper })
    const pg = await rig.nextStart('pg')
    await pg.fork('daemon', { session })
    const daemon = await rig.nextStart('daemon')
    await pg.exit(0)
    await running.seen(/pg: completed/)
    return daemon
  }

  test('shows the daemon in status until it ends', async () => {
    const daemon = await completedTask()
    await expect.poll(control.status).toMatchObject({
      pg: {
        state: 'completed',
        left_pids: [daemon.pid],
        detail: expect.stringMatching(`^left 1 process running \\(${daemon.pid} .+\\)$`),
      },
      web: { left_pids: [] },
    })
    await daemon.exit(0)
    await expect.poll(control.status).toMatchObject({ pg: { state: 'completed', left_pids: [], detail: null } })
    expect((await run('stop', 'pg')).stdout).toBe('pg: has already completed\n')
  })

  test('names the daemon in the result of stop, which ends it', async () => {
    const daemon = await completedTask()
    expect(await run('stop', 'pg')).toEqual({
      code: 0,
      stdout: expect.stringMatching(`^pg: has already completed; stopped what it had left: ${daemon.pid} .+\n$`),
      stderr: '',
    })
    expect(isAlive(daemon.pid)).toBe(false)
    expect(await control.status()).toMatchObject({ pg: { state: 'completed', left_pids: [], detail: null } })
  })
})

import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'
import { isAlive } from '../../../../test/rig/orchestrator/steerable-child.ts'
import type { SupervisorEvent } from '../events.ts'
import { isRunning } from '../guard/run-folder.ts'
import { executeStopPlan } from '../guard/stop-plan.ts'
import { endEscaped, OrphanScanner } from '../child/orphans.ts'
import { ProcessGroup } from '../child/process-group.ts'
import { RUN_TAG_VARIABLE, startOf } from './process-table.ts'
import { PsSource } from './ps.ts'

const source = new PsSource()
const started: ChildProcess[] = []

afterEach(() => {
  for (const { pid } of started.splice(0)) {
    if (pid !== undefined) new ProcessGroup(pid).signal('SIGKILL')
  }
})

/** Starts a shell line in a process group of its own; resolves with its pid when it has printed a line. */
async function start(line: string, runTag: string): Promise<number> {
  const child = spawn('/bin/sh', ['-c', line], { detached: true, env: { ...process.env, [RUN_TAG_VARIABLE]: runTag } })
  started.push(child)
  await once(createInterface({ input: child.stdout }), 'line')
  return child.pid ?? 0
}

const waits = 'echo up; exec sleep 1000'

describe('with ps instead of /proc (O-37, O-38)', () => {
  it('orphans outside their process group are found and ended', async () => {
    const run = randomUUID()
    const daemon = await start(waits, `${run}/web/1`)
    const later = await start(waits, `${run}/web/2`)
    const events: SupervisorEvent[] = []
    const options = { killNow: () => false, emit: (event: SupervisorEvent) => events.push(event), source }
    await new OrphanScanner(run, options).endOf('web', 1)
    expect([isAlive(daemon), isAlive(later)]).toEqual([false, true])
    await endEscaped(run, options)
    expect(isAlive(later)).toBe(false)
    expect(events).toEqual([
      { type: 'descendants_killed', process: 'web', pids: [daemon], commands: ['sleep 1000'] },
      { type: 'descendants_killed', process: 'web', pids: [later], commands: ['sleep 1000'] },
    ])
  })

  it('a process that ignores SIGTERM is killed, and its unreaped zombie does not count', async () => {
    const pid = await start("trap '' TERM; echo up; while :; do sleep 1000; done", 'none')
    let kills = 0
    const group = new ProcessGroup(pid, source)
    const left = await group.terminate({
      signal: 'SIGTERM',
      timeoutMs: 300,
      leaderExited: null,
      onKill: () => (kills += 1),
    })
    expect({ left, kills, isEmpty: group.isEmpty() }).toEqual({ left: [], kills: 1, isEmpty: true })
  })

  it('the guard stops the process groups of its plan and the processes that left them', async () => {
    const run = randomUUID()
    const [db, web] = [await start(waits, `${run}/db/1`), await start(waits, `${run}/web/1`)]
    const daemon = await start(waits, `${run}/web/1`)
    const planned = { signal: 'SIGTERM', timeoutMs: 5000 } as const
    const processes = [
      { name: 'db', groups: [db], dependents: ['web'], ...planned },
      { name: 'web', groups: [web], dependents: [], ...planned },
    ]
    await executeStopPlan({ runTag: run, processes }, { budgetMs: 10_000, source })
    expect([db, web, daemon].filter(isAlive)).toEqual([])
  })

  it('the orchestrator of a record is recognised by its start time', () => {
    const record = { pid: process.pid, mark: 'x', config: '/x.json', socket: null }
    expect(isRunning({ ...record, startTime: startOf(process.pid, source) }, source)).toBe(true)
    expect(isRunning({ ...record, startTime: 'Thu Jan 1 00:00:00 1970' }, source)).toBe(false)
  })
})

import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'
import { groupMembers, RUN_TAG_VARIABLE, taggedProcesses, startOf, stillLiving } from './process-table.ts'

const started: ChildProcess[] = []

afterEach(() => {
  for (const { pid } of started.splice(0)) if (pid !== undefined) process.kill(-pid, 'SIGKILL')
})

/** Starts the leader of a new process group, and one more member of the group. */
async function pair(runTag: string): Promise<{ readonly leader: number; readonly member: number }> {
  const script = 'sleep 1000 & echo $!; wait'
  const child = spawn('/bin/sh', ['-c', script], { detached: true, env: { [RUN_TAG_VARIABLE]: runTag } })
  started.push(child)
  const [line] = await new Promise<string[]>((resolve) =>
    createInterface({ input: child.stdout }).once('line', (text) => resolve([text])),
  )
  return { leader: child.pid ?? 0, member: Number(line) }
}

describe('the process table (O-37)', () => {
  it('lists the running members of a process group, all or those among given pids', async () => {
    const { leader, member } = await pair('none')
    expect(new Set(groupMembers(leader))).toEqual(new Set([leader, member]))
    expect(groupMembers(leader, [member, process.pid])).toEqual([member])
    expect(groupMembers(leader, [])).toEqual([])
  })

  it('finds the processes with a run tag, and no others', async () => {
    const runTag = `${randomUUID()}/a`
    const { leader, member } = await pair(runTag)
    await pair(`${randomUUID()}/a`)
    expect(new Set(taggedProcesses(runTag).map(({ pid }) => pid))).toEqual(new Set([leader, member]))
  })

  it('filters the known processes that still run, independently of their environment', async () => {
    const { leader, member } = await pair('none')
    const known = [leader, member].map((pid) => ({ pid, runTag: 'a', start: startOf(pid) ?? '' }))
    expect(stillLiving(known)).toEqual(known)
    process.kill(leader, 'SIGKILL')
    await expect.poll(() => stillLiving(known)).toEqual(known.slice(1))
  })

  it('recognises that a pid has been reused', async () => {
    const { leader } = await pair('none')
    expect(stillLiving([{ pid: leader, runTag: 'a', start: '1' }])).toEqual([])
  })
})

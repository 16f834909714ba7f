import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'
import { groupMembers, MARK_VARIABLE, markedProcesses } from './process-table.ts'

const started: ChildProcess[] = []

afterEach(() => {
  for (const { pid } of started.splice(0)) if (pid !== undefined) process.kill(-pid, 'SIGKILL')
})

/** A leader with a group of its own, and one more member. */
async function pair(mark: string): Promise<{ readonly leader: number; readonly member: number }> {
  const script = 'sleep 1000 & echo $!; wait'
  const child = spawn('/bin/sh', ['-c', script], { detached: true, env: { [MARK_VARIABLE]: mark } })
  started.push(child)
  const [line] = await new Promise<string[]>((resolve) =>
    createInterface({ input: child.stdout }).once('line', (text) => resolve([text])),
  )
  return { leader: child.pid ?? 0, member: Number(line) }
}

describe('the process table (O-37)', () => {
  it('has the living members of a group: all of them, or those among the ones that were asked for', async () => {
    const { leader, member } = await pair('none')
    expect(new Set(groupMembers(leader))).toEqual(new Set([leader, member]))
    expect(groupMembers(leader, [member, process.pid])).toEqual([member])
    expect(groupMembers(leader, [])).toEqual([])
  })

  it('has the processes under a mark: all of them, or those among the ones that were asked for', async () => {
    const mark = `${randomUUID()}/a`
    const { leader, member } = await pair(mark)
    const other = await pair(`${randomUUID()}/a`)
    const pidsOf = (among?: readonly number[]) => markedProcesses(mark, among).map(({ pid }) => pid)
    expect(new Set(pidsOf())).toEqual(new Set([leader, member]))
    expect(pidsOf([member, other.leader])).toEqual([member])
  })
})

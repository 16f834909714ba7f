import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'
import {
  commandLineOf,
  groupMembers,
  groupUsage,
  relationsOf,
  RUN_TAG_VARIABLE,
  startOf,
  stillLiving,
  taggedProcesses,
} from './process-table.ts'
import { ProcSource } from './proc.ts'
import type { ProcessSource } from './process-source.ts'
import { PsSource } from './ps.ts'

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

const sources: readonly (readonly [string, ProcessSource])[] = [
  ['/proc', new ProcSource()],
  ['ps', new PsSource()],
]

describe.each(sources)('the process table of %s (O-37)', (_name, source) => {
  it('lists the running members of a process group, all or those among given pids', async () => {
    const { leader, member } = await pair('none')
    expect(new Set(groupMembers(leader, undefined, source))).toEqual(new Set([leader, member]))
    expect(groupMembers(leader, [member, process.pid], source)).toEqual([member])
    expect(groupMembers(leader, [], source)).toEqual([])
  })

  it('finds the processes with a run tag, and no others', async () => {
    const runTag = `${randomUUID()}/a`
    const { leader, member } = await pair(runTag)
    await pair(`${randomUUID()}/a`)
    expect(new Set(taggedProcesses(runTag, source).map(({ pid }) => pid))).toEqual(new Set([leader, member]))
  })

  it('filters the known processes that still run, independently of their environment', async () => {
    const { leader, member } = await pair('none')
    const known = [leader, member].map((pid) => ({ pid, runTag: 'a', start: startOf(pid, source) ?? '' }))
    expect(stillLiving(known, source)).toEqual(known)
    process.kill(leader, 'SIGKILL')
    await expect.poll(() => stillLiving(known, source)).toEqual(known.slice(1))
  })

  it('recognises that a pid has been reused', async () => {
    const { leader } = await pair('none')
    expect(stillLiving([{ pid: leader, runTag: 'a', start: '1' }], source)).toEqual([])
  })

  it('returns relations, command line and usage of a process', async () => {
    const { leader, member } = await pair('none')
    // The member is a copy of the shell until it executes its program.
    const expected = { program: 'sleep', parent: leader, group: leader }
    await expect.poll(() => relationsOf(member, source)).toMatchObject(expected)
    expect(commandLineOf(member, source)).toEqual(['sleep', '1000'])
    const usage = groupUsage(new Set([leader]), source).get(leader)
    expect(usage?.memoryBytes).toBeGreaterThan(100_000)
    expect(usage?.cpuMs).toBeLessThan(1000)
  })

  it('has nothing about a process that does not exist', () => {
    const pid = 2_000_000_000
    expect([startOf(pid, source), relationsOf(pid, source), commandLineOf(pid, source)]).toEqual([null, null, []])
  })

  it('returns the CPU time of a process group', async () => {
    const busy = spawn('/bin/sh', ['-c', 'while :; do :; done'], { detached: true, stdio: 'ignore' })
    started.push(busy)
    const group = busy.pid ?? 0
    const cpuMs = () => groupUsage(new Set([group]), source).get(group)?.cpuMs
    await expect.poll(cpuMs, { timeout: 20_000 }).toBeGreaterThanOrEqual(1000)
  })
})

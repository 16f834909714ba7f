import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isAlive } from '../../../test/rig/orchestrator/steerable-child.ts'
import { supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'

const COUNT = 300

function openFiles(): number {
  return readdirSync('/proc/self/fd').length
}

test('hundreds of processes start and stop, and leave no process and no open file behind', async () => {
  const before = openFiles()
  const names = Array.from({ length: COUNT }, (_, index) => `p${index}`)
  const graph = supervise(
    names.map((name, index) => ({
      name,
      command: 'sleep',
      args: ['1000'],
      dependsOn: index < 10 ? [] : [{ name: `p${index % 10}`, condition: 'started' as const }],
    })),
  )
  expect(await graph.next('all_ready')).toMatchObject({ count: COUNT })
  const pids = graph.events.flatMap((event) => (event.type === 'process_started' ? [event.pid] : []))
  expect(new Set(pids).size).toBe(COUNT)
  expect(await graph.stop()).toEqual({ exitCode: 0 })
  expect(graph.eventSequence('process_stopped')).toHaveLength(COUNT)
  expect(pids.filter(isAlive)).toEqual([])
  expect(openFiles()).toBeLessThanOrEqual(before + 5)
})

test('a crash loop leaves no zombies and no open files behind', async () => {
  const graph = supervise([{ name: 'a', command: 'exit 1', shell: true, restart: { maxAttempts: 30 } }])
  const before = openFiles()
  expect(await graph.ended).toEqual({ exitCode: 1 })
  expect(graph.eventSequence('process_started')).toHaveLength(31)
  expect(openFiles()).toBeLessThanOrEqual(before + 5)
  expect(deadChildren()).toEqual([])
})

function deadChildren(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const [status, parent] = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/.*\) /s, '').split(' ', 2)
        return status === 'Z' && Number(parent) === process.pid
      } catch {
        return false
      }
    })
}

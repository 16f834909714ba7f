import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ProcessStatus, statusAnswer } from '../../src/orchestrator/control/protocol.ts'
import { Graph } from '../rig/orchestrator/graph.ts'
import { projectRoot } from '../rig/program.ts'

const PATIENCE = { timeout: 60_000, interval: 50 }
/** Each service of the default graph, and how often it is killed in a row. */
const VICTIMS = [
  ['postgres', 3],
  ['nats', 3],
  ['clickhouse', 3],
  ['mqtt', 3],
  ['api', 3],
  ['cdc', 3],
  ['gateway-orchestrator', 3],
  ['analytics', 3],
  ['demo', 20],
] as const

type Statuses = Readonly<Record<string, ProcessStatus>>

describe('the default graph with a short backoff (O-43)', () => {
  let graph: Graph
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ponix-kills-'))
    const restart = { backoff_ms: 10, max_backoff_ms: 100 }
    const config = join(folder, 'commonplace.json')
    const processes = Object.fromEntries(VICTIMS.map(([name]) => [name, { restart }]))
    await writeFile(config, JSON.stringify({ extends: join(projectRoot, 'commonplace.json'), processes }))
    graph = await Graph.start({ args: ['--config', config] })
    await graph.line(/^\[orchestrator\] .*all .*ready/)
  }, 600_000)

  afterAll(async () => {
    await graph[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  async function statuses(): Promise<Statuses> {
    const response = await fetch(`http://127.0.0.1:${graph.ports.PONIX_DASHBOARD_PORT}/status`)
    const { processes } = statusAnswer.parse(await response.json())
    return Object.fromEntries(processes.map((status) => [status.name, status]))
  }

  /** Kills the child of a process; resolves when the next one is ready. */
  async function kill(name: string): Promise<void> {
    const { pid } = (await statuses())[name] ?? {}
    if (typeof pid !== 'number') throw new Error(`${name} does not run`)
    process.kill(pid, 'SIGKILL')
    await expect
      .poll(async () => {
        const status = (await statuses())[name]
        return status?.ready === true && status.pid !== pid
      }, PATIENCE)
      .toBe(true)
  }

  const pidsWithout = (all: Statuses, name: string) =>
    Object.fromEntries(Object.values(all).flatMap((one) => (one.name === name ? [] : [[one.name, one.pid]])))

  it.each(VICTIMS)(
    'restarts %s each of %i times that it is killed, and all other processes keep running',
    async (name, times) => {
      const before = await statuses()
      for (let killed = 0; killed < times; killed += 1) await kill(name)
      const all = async () => Object.values(await statuses()).filter(({ ready }) => !ready)
      await expect.poll(all, PATIENCE).toEqual([])
      const after = await statuses()
      expect(pidsWithout(after, name)).toEqual(pidsWithout(before, name))
      expect(after[name]?.restarts).toBe((before[name]?.restarts ?? 0) + times)
    },
    300_000,
  )

  it('exits with 0 afterwards and leaves no process', async () => {
    graph.signal('SIGINT')
    expect(await graph.ended()).toBe(0)
    expect(await graph.survivors()).toEqual([])
  })
})

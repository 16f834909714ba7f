import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ProcessStatus, statusAnswer } from '../../src/orchestrator/control/protocol.ts'
import { Graph } from '../rig/orchestrator/graph.ts'
import { projectRoot } from '../rig/program.ts'

const PATIENCE = { timeout: 60_000, interval: 50 }
const SERVICES = ['api', 'cdc', 'gateway-orchestrator', 'analytics']
/** Why a service is unhealthy: its address, and the answer of its /readyz, which names the server and the reason. */
const UNHEALTHY = {
  api: /^http_get http:\/\/127\.0\.0\.1:\d+\/readyz: answered 503: postgres: (?!The database).+$/,
  cdc: /^http_get http:\/\/127\.0\.0\.1:\d+\/readyz: answered 503: replication: \S.*$/,
  'gateway-orchestrator': /: answered 503: postgres: (?!The database).+$/,
  analytics: /: answered 503: postgres: (?!The database).+$/,
}

/*
 *  postgres ── migrate ──┬── api
 *  nats ───────┘         ├── cdc
 *  clickhouse ─┘         ├── gateway-orchestrator ── (mqtt)
 *  mqtt                  └── analytics                          the default graph without the demo
 */
describe('the default graph while PostgreSQL is stopped (B-16)', () => {
  let graph: Graph
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ponix-unhealthy-'))
    // Only the period is shorter than that of the default graph.
    const processes = Object.fromEntries(SERVICES.map((name) => [name, { readiness_probe: { period_ms: 200 } }]))
    const config = join(folder, 'commonplace.json')
    await writeFile(config, JSON.stringify({ extends: join(projectRoot, 'commonplace.json'), processes }))
    graph = await Graph.start({ args: ['--config', config, '--disable', 'demo'] })
    await graph.line(/^\[orchestrator\] .*all .*ready/)
  }, 600_000)

  afterAll(async () => {
    await graph[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const url = (path: string) => `http://127.0.0.1:${graph.ports.PONIX_DASHBOARD_PORT}${path}`

  async function statuses(): Promise<readonly ProcessStatus[]> {
    return statusAnswer.parse(await (await fetch(url('/status'))).json()).processes
  }

  async function command(name: 'stop' | 'start'): Promise<void> {
    const response = await fetch(url(`/${name}`), { method: 'POST', body: JSON.stringify({ processes: ['postgres'] }) })
    expect({ status: response.status, answer: await response.text() }).toMatchObject({ status: 200 })
  }

  const servicesOf = (all: readonly ProcessStatus[]) => all.filter(({ name }) => SERVICES.includes(name))
  const pidsOf = (all: readonly ProcessStatus[]) =>
    all.flatMap(({ name, pid }) => (name === 'postgres' ? [] : [{ name, pid }]))

  it('shows each service as unhealthy with the reason, restarts none, and shows them as ready afterwards', async () => {
    const before = await statuses()
    await command('stop')
    const states = async () => servicesOf(await statuses()).map(({ state }) => state)
    await expect.poll(states, PATIENCE).toEqual(SERVICES.map(() => 'unhealthy'))
    const during = await statuses()
    for (const [name, reason] of Object.entries(UNHEALTHY)) {
      expect(during.find((status) => status.name === name)?.reason).toMatch(reason)
    }
    await command('start')
    await expect.poll(states, PATIENCE).toEqual(SERVICES.map(() => 'ready'))
    const after = await statuses()
    expect([pidsOf(during), pidsOf(after)]).toEqual([pidsOf(before), pidsOf(before)])
  }, 120_000)
})

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Graph } from '../rig/orchestrator/graph.ts'
import { GraphClient, type Device } from '../rig/services/graph-client.ts'

const PATIENCE = { timeout: 120_000, interval: 100 }
const BURST = 500
/** The processes to kill. */
const VICTIMS = ['nats', 'clickhouse', 'postgres', 'analytics'] as const

/** Returns a temperature and a pressure that together encode `number`, up to six digits. */
function payloadOf(number: number): Uint8Array {
  const payload = Buffer.from([0x00, 0x67, 0, 0, 0x01, 0x73, 0, 0])
  payload.writeInt16BE(number % 10_000, 2)
  payload.writeUInt16BE(Math.floor(number / 10_000), 6)
  return payload
}

/*
 *  device ── mqtt ── gateway-orchestrator ── nats ── analytics ── clickhouse          the default graph without the demo
 */
describe('the default graph', () => {
  let graph: Graph
  let client: GraphClient
  let device: Device
  let published = 0

  beforeAll(async () => {
    await start(await Graph.start({ args: ['--disable', 'demo'] }))
    device = await client.createDevice(await client.createOrganization('Restarts'))
    await client.createMqttGateway(device.organizationId)
  }, 600_000)

  afterAll(async () => {
    client.close()
    await graph[Symbol.asyncDispose]()
  })

  async function start(started: Graph): Promise<void> {
    graph = started
    await graph.line(/^\[orchestrator\] .*all .*ready/)
    client = new GraphClient(graph)
  }

  /** Publishes at QoS 1, one message after the other, and calls `halfway` before the second half. */
  async function publish(count: number, halfway = (): void => undefined): Promise<void> {
    const publisher = await client.connectDevice(device)
    for (let sent = 0; sent < count; sent += 1) {
      if (sent === count / 2) halfway()
      await publisher.publish(device.topic, payloadOf(published))
      published += 1
    }
    await publisher.close()
  }

  /** Returns the counts; null while ClickHouse is unavailable. */
  async function stored(): Promise<{ readonly rows: number; readonly different: number } | null> {
    const sql = `SELECT toInt32(count()) AS rows, toInt32(uniqExact(toString(data))) AS different
                 FROM processed_envelopes WHERE end_device_id = '${device.deviceId}'`
    const [counts] = await client.query<{ rows: number; different: number }>(sql).catch(() => [])
    return counts ?? null
  }

  /** Resolves with the counts when every message is stored. */
  async function allStored(): Promise<unknown> {
    await expect.poll(async () => (await stored())?.different, PATIENCE).toBe(published)
    return stored()
  }

  /** Returns the id of the process with this name. */
  async function pidOf(name: string): Promise<number> {
    const commands = await graph.survivors()
    const command = commands.find((line) => new RegExp(`/ponix-(embedded ${name}|${name}) `).test(line))
    if (command === undefined) throw new Error(`no ${name} among\n${commands.join('\n')}`)
    return Number.parseInt(command, 10)
  }

  /** Resolves when the replacement is ready and all messages are published. */
  async function killDuringTraffic(name: string, how: 'alone' | 'with its children'): Promise<void> {
    const pid = await pidOf(name)
    const from = graph.output.split('\n').length
    await publish(BURST, () => process.kill(how === 'alone' ? pid : -pid, 'SIGKILL'))
    // It may be unhealthy before it is killed, and say so: what follows the start counts.
    const started = await graph.line(new RegExp(`^\\[orchestrator\\] +${name}: started`), from)
    await graph.line(new RegExp(`^\\[orchestrator\\] +${name}: ready after`), started.next)
    expect(await pidOf(name)).not.toBe(pid)
  }

  it('E-2 has its rows, devices and gateways when it starts with the data of an earlier run', async () => {
    await publish(BURST)
    expect(await allStored()).toEqual({ rows: published, different: published })
    client.close()
    graph.signal('SIGINT')
    expect(await graph.ended()).toBe(0)

    await start(await Graph.start({ again: graph, args: ['--disable', 'demo'] }))
    expect(await stored()).toEqual({ rows: published, different: published })
    await graph.line(/gateway-orchestrator.*running/)
    await publish(BURST)
    expect(await allStored()).toEqual({ rows: published, different: published })
  })

  it.each(VICTIMS.flatMap((name) => [[name, 'alone'] as const, [name, 'with its children'] as const]))(
    'recovers when %s is killed with SIGKILL during traffic, %s, and every message becomes one row',
    async (name, how) => {
      await killDuringTraffic(name, how)
      expect(await allStored()).toEqual({ rows: published, different: published })
    },
  )

  // Messages whose acknowledgement did not reach the broker are delivered and stored a second time.
  it('loses nothing when gateway-orchestrator is killed with SIGKILL during traffic', async () => {
    await killDuringTraffic('gateway-orchestrator', 'alone')
    expect(await allStored()).toMatchObject({ different: published })
  })

  it('exits with 0 after these failures and leaves no process', async () => {
    graph.signal('SIGINT')
    expect(await graph.ended()).toBe(0)
    expect(await graph.survivors()).toEqual([])
  })
})

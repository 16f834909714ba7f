import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Graph } from '../rig/graph.ts'
import { GraphClient, type Device } from './graph-client.ts'

const PATIENCE = { timeout: 120_000, interval: 100 }
const BURST = 500
/** A process that is killed has restarts enough: commonplace.json gives each of them three in a row. */
const VICTIMS = ['nats', 'clickhouse', 'postgres', 'analytics'] as const

/** Temperature, and pressure on channel 1: together they are `number`, up to six digits. */
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

  /** At QoS 1, one after the other; `halfway` happens while the second half is on its way. */
  async function publish(count: number, halfway = (): void => undefined): Promise<void> {
    const publisher = await client.connectDevice(device)
    for (let sent = 0; sent < count; sent += 1) {
      if (sent === count / 2) halfway()
      await publisher.publish(device.topic, payloadOf(published))
      published += 1
    }
    await publisher.close()
  }

  /** Null while ClickHouse does not answer. */
  async function stored(): Promise<{ readonly rows: number; readonly different: number } | null> {
    const sql = `SELECT toInt32(count()) AS rows, toInt32(uniqExact(toString(data))) AS different
                 FROM processed_envelopes WHERE end_device_id = '${device.deviceId}'`
    const [counts] = await client.query<{ rows: number; different: number }>(sql).catch(() => [])
    return counts ?? null
  }

  /** What is stored once every message is. */
  async function storedInTheEnd(): Promise<unknown> {
    await expect.poll(async () => (await stored())?.different, PATIENCE).toBe(published)
    return stored()
  }

  /** The process that the orchestrator started under this name. */
  async function pidOf(name: string): Promise<number> {
    const commands = await graph.survivors()
    const command = commands.find((line) => new RegExp(`/ponix-(embedded ${name}|${name}) `).test(line))
    if (command === undefined) throw new Error(`no ${name} among\n${commands.join('\n')}`)
    return Number.parseInt(command, 10)
  }

  /** Resolves when another process has taken its place, and all is published. */
  async function killDuringTraffic(name: string, how: 'alone' | 'and all that it started'): Promise<void> {
    const pid = await pidOf(name)
    const from = graph.output.split('\n').length
    await publish(BURST, () => process.kill(how === 'alone' ? pid : -pid, 'SIGKILL'))
    await graph.line(new RegExp(`^\\[orchestrator\\] +${name}.*ready`), from)
    expect(await pidOf(name)).not.toBe(pid)
  }

  it('E-2 has its rows, devices and gateways again when it is started on the data of an earlier run', async () => {
    await publish(BURST)
    expect(await storedInTheEnd()).toEqual({ rows: published, different: published })
    client.close()
    graph.signal('SIGINT')
    expect(await graph.ended()).toBe(0)

    await start(await Graph.start({ again: graph, args: ['--disable', 'demo'] }))
    expect(await stored()).toEqual({ rows: published, different: published })
    await graph.line(/gateway-orchestrator.*running/)
    await publish(BURST)
    expect(await storedInTheEnd()).toEqual({ rows: published, different: published })
  })

  it.each(VICTIMS.flatMap((name) => [[name, 'alone'] as const, [name, 'and all that it started'] as const]))(
    'heals when %s is killed with -9 in the middle of traffic, %s, and every message becomes one row',
    async (name, how) => {
      await killDuringTraffic(name, how)
      expect(await storedInTheEnd()).toEqual({ rows: published, different: published })
    },
  )

  // MQTT cannot tell what had been answered for a moment before: those few messages come, and are stored, once more.
  it('loses nothing when gateway-orchestrator is killed with -9 in the middle of traffic', async () => {
    await killDuringTraffic('gateway-orchestrator', 'alone')
    expect(await storedInTheEnd()).toMatchObject({ different: published })
  })

  it('ends with 0 after all of this, and leaves nothing behind', async () => {
    graph.signal('SIGINT')
    expect(await graph.ended()).toBe(0)
    expect(await graph.survivors()).toEqual([])
  })
})

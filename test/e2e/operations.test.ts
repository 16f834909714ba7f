import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NatsClient } from '../../src/nats/connection.ts'
import { EndDeviceService } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { connectTo } from '../rig/adapters/nats-client.ts'
import { type Values, withValues } from '../rig/documents/document-commands.ts'
import { nats as natsCli, request } from '../rig/documents/installed-programs.ts'
import { readSections, type Section, SECTIONS } from '../rig/documents/operations-page.ts'
import { Graph } from '../rig/orchestrator/graph.ts'
import { projectRoot } from '../rig/program.ts'
import { type Device, GraphClient } from '../rig/services/graph-client.ts'

const run = promisify(execFile)
const PATIENCE = { timeout: 120_000, interval: 200 }

const sections = await readSections()

/** Returns Cayenne LPP with a temperature that encodes the number. */
function payloadOf(number: number): Uint8Array {
  const payload = Buffer.from([0x00, 0x67, 0, 0])
  payload.writeInt16BE(number, 2)
  return payload
}

const eachOnce = (count: number): object => ({ rows: count, different: count })

const UNKNOWN_TYPE = Uint8Array.of(0x00, 0xc8, 0x00)

/*
 *  device ── mqtt ── gateway-orchestrator ── nats ── analytics ── clickhouse          the default graph without the demo
 */
describe('the commands of docs/operations.md', () => {
  let graph: Graph
  let client: GraphClient
  let nats: NatsClient
  let backup: string
  /** The folder of the back-up that the commands have made. */
  let copy = 'no back-up'
  let gatewayId: string
  let device: Device
  let later: Device
  let published = 0

  beforeAll(async () => {
    backup = await mkdtemp(join(tmpdir(), 'ponix-backup-'))
    graph = await Graph.start({ command: ['npm', 'start', '--'], args: ['--disable', 'demo'] })
    await graph.line(/^\[orchestrator\] .*all .*ready/)
    client = new GraphClient(graph)
    nats = await connectTo(`nats://127.0.0.1:${graph.ports.PONIX_NATS_PORT}`)
    device = await client.createDevice(await client.createOrganization('Operations'))
    gatewayId = await client.createMqttGateway(device.organizationId)
  }, 600_000)

  afterAll(async () => {
    client.close()
    await nats.drain()
    await graph[Symbol.asyncDispose]()
    await rm(backup, { recursive: true, force: true })
  })

  function valuesOfThisRun(): Values {
    return [
      ['.ponix/data', graph.dataDir],
      ['backup/2026-01-31-030000', copy],
      ['backup/', `${backup}/`],
      ['GATEWAY_ID', gatewayId],
      ['15432', String(graph.ports.PONIX_POSTGRES_PORT)],
      ['14222', String(graph.ports.PONIX_NATS_PORT)],
      ['18123', String(graph.ports.PONIX_CLICKHOUSE_PORT)],
      ['19103', String(graph.ports.PONIX_GATEWAY_ORCHESTRATOR_HTTP_PORT)],
      ['19104', String(graph.ports.PONIX_ANALYTICS_HTTP_PORT)],
    ]
  }

  /** Runs a command with variables of the shell; returns its output. */
  async function execute(command: string, variables: NodeJS.ProcessEnv = {}): Promise<string> {
    const line = withValues(command, valuesOfThisRun()).replace(/npx (ponix-[a-z]+)/, `node ${projectRoot}bin/$1.js`)
    if (command.startsWith('nats ')) await natsCli(line, nats.manager)
    else if (command.startsWith('curl ')) return await request(line)
    else if (command === 'npm start -- --disable demo') await startAgain()
    else return await runInShell(line, variables)
    return ''
  }

  async function startAgain(): Promise<void> {
    graph = await Graph.start({ again: graph, args: ['--disable', 'demo'] })
    await graph.line(/^\[orchestrator\] .*all .*ready/)
  }

  async function runInShell(line: string, variables: NodeJS.ProcessEnv): Promise<string> {
    const env = { ...process.env, XDG_RUNTIME_DIR: graph.dataDir, ...variables }
    // The exit code is 1 if the slot is lost, or if a file is deleted while du reads the folder.
    const script = /ponix-cdc\.js status$|^du /.test(line) ? `${line} || [ $? = 1 ]` : line
    const { stdout } = await run('sh', ['-c', script], { cwd: projectRoot, env })
    return stdout
  }

  /** Runs the commands of a section one after the other; returns their outputs. */
  async function follow(section: Section): Promise<readonly string[]> {
    const outputs: string[] = []
    const variables: NodeJS.ProcessEnv = {}
    for (const command of sections.get(section) ?? []) {
      const [, name] = /^(?:export )?(\w+)=(?:\S+|.*\))$/.exec(command) ?? []
      if (name === undefined) outputs.push(await execute(command, variables))
      else variables[name] = await execute(`${command}; printf %s "$${name}"`)
    }
    copy = variables['B'] ?? copy
    return outputs
  }

  async function publish(count: number, to = device): Promise<void> {
    const publisher = await client.connectDevice(to)
    for (let sent = 0; sent < count; sent += 1) {
      await publisher.publish(to.topic, payloadOf(published))
      published += 1
    }
    await publisher.close()
  }

  /** Returns the number of rows, and of those that differ; undefined while ClickHouse is unavailable. */
  async function rows(of = device): Promise<object | undefined> {
    const sql = `SELECT toInt32(count()) AS rows, toInt32(uniqExact(toString(data))) AS different
                 FROM processed_envelopes WHERE end_device_id = '${of.deviceId}'`
    const [counts] = await client.query<object>(sql).catch(() => [])
    return counts
  }

  async function entityEvents(): Promise<number> {
    return (await nats.manager.streams.info('entities')).state.messages
  }

  async function dropSlot(): Promise<void> {
    const account = { user: 'ponix', password: 'ponix', database: 'ponix' }
    const database = new Client({ host: '127.0.0.1', port: graph.ports.PONIX_POSTGRES_PORT, ...account })
    await database.connect()
    const drop = async (): Promise<unknown> => {
      await database.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active')
      return await database.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots').then(
        () => 'dropped',
        () => 'cdc has reconnected',
      )
    }
    await expect.poll(drop, { interval: 1 }).toBe('dropped')
    await database.end()
  }

  it('are all in sections that these tests run', () => {
    const withCommands = [...sections].filter(([, commands]) => commands.length > 0).map(([heading]) => heading)
    expect(withCommands.toSorted()).toEqual(SECTIONS.toSorted())
  })

  it('show the state of everything', async () => {
    const [processes, slot, , metrics] = await follow('Operating the pipeline')
    expect(processes).toMatch(/analytics +ready/)
    expect(graph.output).not.toMatch(/^\[demo\]/m)
    expect(slot).toContain('an instance streams from it')
    expect(metrics).toContain('ponix_analytics_processed_total')
  })

  it('back up during traffic without a loss', async () => {
    await publish(20)
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(20))
    await Promise.all([follow('Back up'), publish(40)])
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(60))
    later = await client.createDevice(device.organizationId)
    await publish(20)
    await publish(20, later)
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(80))
    await expect.poll(() => rows(later), PATIENCE).toEqual(eachOnce(20))
  })

  it('restore ClickHouse: the rows since the back-up come again from the stream, each once', async () => {
    await follow('Restore ClickHouse')
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(80))
    await expect.poll(() => rows(later), PATIENCE).toEqual(eachOnce(20))
    await publish(10)
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(90))
  })

  it('restore NATS: every message stays one row, and cdc sends all entities', async () => {
    await follow('Restore NATS')
    await publish(10)
    await publish(10, later)
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(100))
    await expect.poll(() => rows(later), PATIENCE).toEqual(eachOnce(30))
    // Two of the back-up, and the organization and two devices of the snapshot.
    await expect.poll(entityEvents, PATIENCE).toBe(5)
  })

  it('restore PostgreSQL: later entities are gone, the others continue, and cdc sends them', async () => {
    await follow('Restore PostgreSQL')
    await publish(10)
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(110))
    await expect.poll(() => rows(later), PATIENCE).toEqual(eachOnce(30))
    await expect(client.api.call(EndDeviceService.method.getEndDevice, { deviceId: later.deviceId })).rejects.toThrow(
      /not.found/i,
    )
    await expect.poll(entityEvents, PATIENCE).toBe(7)
  })

  it('restore everything: each message up to the back-up is one row, and new ones follow', async () => {
    await follow('Restore everything')
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(60))
    await expect.poll(() => rows(later), PATIENCE).toEqual(eachOnce(0))
    await expect.poll(entityEvents, PATIENCE).toBe(4)
    await publish(10)
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(70))
  })

  it('start a server again, whose rows then arrive', async () => {
    await execute('npx ponix-orchestrator stop clickhouse')
    await publish(10)
    const [status, start] = await follow('An unavailable server')
    expect(status).toMatch(/clickhouse +stopped/)
    expect(start).toMatch(/clickhouse: ready/)
    const [metrics] = await follow('After an outage')
    expect(metrics).toMatch(/^ponix_nats_pending\{.*^ponix_nats_stream_bytes\{/ms)
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(80))
  })

  it('show the state and the log of a gateway', async () => {
    const [gateways, log] = await follow('A gateway that does not work')
    expect(gateways).toMatch(new RegExp(`"gateway_id": ?"${gatewayId}"`))
    expect(log).toContain(gatewayId)
  })

  it('free space without a loss', async () => {
    await follow('Free space')
    const { config } = await nats.manager.streams.info('raw_envelopes')
    expect(config.max_age).toBe(2 * 24 * 3600 * 1e9)
    await expect(rows()).resolves.toEqual(eachOnce(80))
  })

  it('raise the limit of age', async () => {
    await follow('Unread messages that expire')
    const { config } = await nats.manager.streams.info('processed_envelopes')
    expect(config.max_age).toBe(14 * 24 * 3600 * 1e9)
  })

  it('raise the limit of a full stream, whose senders then continue', async () => {
    const { state } = await nats.manager.streams.info('raw_envelopes')
    await nats.manager.streams.update('raw_envelopes', { max_bytes: state.bytes })
    const from = graph.output.split('\n').length
    await publish(10)
    await graph.line(/JetStream does not store/, from)
    await follow('A full stream')
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(90))
  })

  it('show the surplus of each organization and raise its limits', async () => {
    await follow('An organization that sends more than its share')
    const { config } = await nats.manager.streams.info('surplus_envelopes')
    expect(config).toMatchObject({ max_msgs_per_subject: 16_384, max_bytes: 4 * 2 ** 30 })
  })

  it('recover from a lost slot', async () => {
    const before = await entityEvents()
    await dropSlot()
    const [slot, outcome] = await follow('A slot that is gone')
    expect(slot).toContain('LOST')
    expect(outcome).toContain('the service creates a new slot')
    await expect.poll(entityEvents, PATIENCE).toBe(before + 2)
  })

  it('list, show and replay dead letters', async () => {
    const publisher = await client.connectDevice(device)
    await publisher.publish(device.topic, UNKNOWN_TYPE)
    await publisher.close()
    const letters = async () => (await nats.manager.streams.info('dead_letters')).state
    await expect.poll(async () => (await letters()).messages, PATIENCE).toBe(1)
    const [list, letter, replay] = await follow('Dead letters')
    expect(list).toContain(device.deviceId)
    expect(letter).toContain('unknown type 200')
    expect(replay).toMatch(/1/)
    // The message fails again and becomes a dead letter with another number.
    await expect.poll(async () => (await letters()).first_seq, PATIENCE).toBe(2)
  })

  it('upgrade and keep all rows', async () => {
    const outputs = await follow('Upgrade')
    expect(outputs.at(-1)).toMatch(/ClickHouse +applied/)
    await expect.poll(() => rows(), PATIENCE).toEqual(eachOnce(90))
  })
})

import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Graph, type GraphOptions } from '../rig/orchestrator/graph.ts'
import { freePort } from '../rig/servers.ts'

/*
 * The default graph with one wrong input per test. The tests mostly wait for the backoff of restarts, so they run concurrently.
 */
describe.concurrent('the default graph', () => {
  /** Starts only the process that has the input, and its dependencies. */
  const API = ['--only', 'api', '--with-dependencies']

  function start(options: GraphOptions): Promise<Graph> {
    return Graph.start({ ...options, args: ['--disable', 'demo', ...(options.args ?? [])] })
  }

  /** Returns the exit code and the distinct matches of the reason, after checking that no process and no stack trace is left. */
  async function outcome(
    options: GraphOptions,
    reason: RegExp,
  ): Promise<{ code: unknown; reasons: readonly string[] }> {
    await using graph = await start(options)
    const code = await graph.ended()
    expect(await graph.survivors()).toEqual([])
    expect(graph.output).not.toMatch(/^.*\bat .*\.[jt]s:\d+:\d+/m)
    const matching = graph.output.split('\n').flatMap((line) => reason.exec(line)?.[0] ?? [])
    return { code, reasons: [...new Set(matching)] }
  }

  async function occupyPort() {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return {
      port: String(typeof address === 'object' ? address?.port : address),
      [Symbol.dispose]: () => void server.close(),
    }
  }

  async function temporaryFolder() {
    const path = await mkdtemp(join(tmpdir(), 'ponix-bad-input-'))
    await chmod(path, 0o755)
    return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
  }

  it.each([
    ['PONIX_POSTGRES_PORT', 'postgres', 'PostgreSQL', '--port'],
    ['PONIX_NATS_PORT', 'nats', 'NATS', '--port'],
    ['PONIX_NATS_MONITORING_PORT', 'nats', "NATS' monitoring", '--monitoring-port'],
    ['PONIX_CLICKHOUSE_PORT', 'clickhouse', 'ClickHouse', '--port'],
    ['PONIX_MQTT_PORT', 'mqtt', 'the MQTT broker', '--port'],
  ])('stops when %s is in use, naming the port and the setting', async (name, process, server, flag) => {
    using occupied = await occupyPort()
    const { port } = occupied
    expect(
      await outcome({ env: { [name]: port }, args: ['--only', process] }, /port \d+ of 127\.0\.0\.1, .*\)/),
    ).toEqual({
      code: 1,
      reasons: [
        `port ${port} of 127.0.0.1, which ${server} needs, is in use by another program: stop that program, ` +
          `or choose another port with ${flag} (in the default graph: ${name})`,
      ],
    })
  })

  it('stops when PONIX_GRPC_PORT is in use, naming the port and the setting', async () => {
    using occupied = await occupyPort()
    const { port } = occupied
    expect(await outcome({ env: { PONIX_GRPC_PORT: port }, args: API }, /cannot listen on .* to another port/)).toEqual(
      {
        code: 1,
        reasons: [
          `cannot listen on 127.0.0.1:${port} for gRPC: the port is in use by another program: stop it, or set PONIX_GRPC_PORT to another port`,
        ],
      },
    )
  })

  it('stops when a variable is not a number, naming it and the expected values', async () => {
    expect(await outcome({ env: { PONIX_GRPC_PORT: 'abc' }, args: API }, /PONIX_GRPC_PORT=.*/)).toEqual({
      code: 1,
      reasons: ['PONIX_GRPC_PORT="abc": expected a whole number from 0 to 65535'],
    })
  })

  it('treats an empty variable as not set', async () => {
    const port = String(await freePort())
    await using graph = await start({ env: { PONIX_LOG_LEVEL: '', PONIX_API_HTTP_PORT: port }, args: API })
    await graph.line(/all .*ready/)
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200)
  })

  it('stops when the data folder is a file, naming it', async () => {
    await using folder = await temporaryFolder()
    const file = join(folder.path, 'data')
    await writeFile(file, '')
    expect(await outcome({ env: { PONIX_DATA_DIR: file } }, /cannot use the data folder .*nats: .*\)/)).toEqual({
      code: 1,
      reasons: [
        expect.stringMatching(
          /data\/nats: ENOTDIR.*choose another with --data \(in the default graph: PONIX_DATA_DIR\)$/,
        ),
      ],
    })
  })

  it('exits with instructions to install nats-server if neither nats-server nor apt is available', async () => {
    await using folder = await temporaryFolder()
    const bin = join(folder.path, 'bin')
    await mkdir(bin)
    await symlink(process.execPath, join(bin, 'node'))
    await symlink('/bin/sh', join(bin, 'sh'))
    const env = { PATH: bin, PONIX_SERVERS_DIR: join(folder.path, 'servers') }
    expect(await outcome({ args: ['--only', 'nats'], env }, /there is no nats-server.*\)/)).toEqual({
      code: 1,
      reasons: [
        expect.stringMatching(/^there is no nats-server 2\.10\.5 or newer on PATH: .*(https:|brew install).*\)$/),
      ],
    })
  })

  it.each([
    [['--onyl', 'api'], "ponix-orchestrator: unknown option '--onyl' (did you mean --only?)"],
    [['--only', 'apii'], 'ponix-orchestrator: --only "apii": there is no such process; did you mean "api"?'],
    [
      ['--config', '/nowhere/x.json'],
      'ponix-orchestrator: /nowhere/x.json does not exist; name an existing file with --config',
    ],
    [['--mqtt-broker', 'localhost:99999'], expect.stringMatching(/localhost:99999/)],
  ])('starts nothing with %j and prints one line', async (args, line) => {
    await using graph = await start({ args })
    expect(await graph.ended()).toBe(2)
    expect(graph.output.split('\n')).toEqual([line])
  })

  it('O-20 starts nothing with a broken file and shows the line and the column', async () => {
    await using folder = await temporaryFolder()
    const file = join(folder.path, 'x.json')
    await writeFile(file, '{\n  "processes": {\n    "a": { "command": x }\n  }\n}\n')
    await using graph = await start({ args: ['--config', file] })
    expect(await graph.ended()).toBe(2)
    expect(graph.output).toMatch(/x\.json:3:23: .*\n3 \| {5}"a": \{ "command": x \}\n {2}\| {23}\^/)
  })
})

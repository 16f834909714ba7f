import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Graph, type GraphOptions } from '../rig/graph.ts'
import { freePort } from '../rig/servers.ts'

/*
 * The default graph with something wrong. Each time: the reason in one line, an exit code that is not 0, nothing left.
 */
describe('the default graph, given', () => {
  async function start(options: GraphOptions): Promise<Graph> {
    const graph = await Graph.start({ ...options, args: ['--disable', 'demo', ...(options.args ?? [])] })
    onTestFinished(() => graph.destroy())
    return graph
  }

  /** How it ended, and the different lines that say why. */
  async function outcome(
    options: GraphOptions,
    reason: RegExp,
  ): Promise<{ code: unknown; reasons: readonly string[] }> {
    const graph = await start(options)
    const code = await graph.ended()
    expect(await graph.survivors()).toEqual([])
    expect(graph.output).not.toMatch(/^.*\bat .*\.[jt]s:\d+:\d+/m)
    const matching = graph.output.split('\n').flatMap((line) => reason.exec(line)?.[0] ?? [])
    return { code, reasons: [...new Set(matching)] }
  }

  async function occupy(): Promise<string> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const address = server.address()
    return String(typeof address === 'object' ? address?.port : address)
  }

  async function temporaryFolder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'ponix-bad-input-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    await chmod(folder, 0o755)
    return folder
  }

  it.each([
    ['PONIX_POSTGRES_PORT', 'postgres', 'PostgreSQL', '--port'],
    ['PONIX_NATS_PORT', 'nats', 'NATS', '--port'],
    ['PONIX_NATS_MONITORING_PORT', 'nats', "NATS' monitoring", '--monitoring-port'],
    ['PONIX_CLICKHOUSE_PORT', 'clickhouse', 'ClickHouse', '--port'],
    ['PONIX_MQTT_PORT', 'mqtt', 'the MQTT broker', '--port'],
  ])('a %s that is in use, names it and the setting, and stops', async (name, process, server, flag) => {
    const port = await occupy()
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

  it('a PONIX_GRPC_PORT that is in use, names it and the setting, and stops', async () => {
    const port = await occupy()
    expect(await outcome({ env: { PONIX_GRPC_PORT: port } }, /cannot listen on .* to another port/)).toEqual({
      code: 1,
      reasons: [
        `cannot listen on 127.0.0.1:${port} for gRPC: the port is in use by another program: stop it, or set PONIX_GRPC_PORT to another port`,
      ],
    })
  })

  it('a number that is none, says which variable and what was expected, and stops', async () => {
    expect(await outcome({ env: { PONIX_GRPC_PORT: 'abc' } }, /PONIX_GRPC_PORT=.*/)).toEqual({
      code: 1,
      reasons: ['PONIX_GRPC_PORT="abc": expected a whole number from 0 to 65535'],
    })
  })

  it('an empty variable, takes it for one that is not set', async () => {
    const port = String(await freePort())
    const graph = await start({ env: { PONIX_LOG_LEVEL: '', PONIX_API_HTTP_PORT: port } })
    await graph.line(/all .*ready/)
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200)
  })

  it('a file where the data should be, names it, and stops', async () => {
    const file = join(await temporaryFolder(), 'data')
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

  it('no nats-server and no apt, says how to get it, and stops', async () => {
    const folder = await temporaryFolder()
    const bin = join(folder, 'bin')
    await mkdir(bin)
    await symlink(process.execPath, join(bin, 'node'))
    await symlink('/bin/sh', join(bin, 'sh'))
    const env = { PATH: bin, PONIX_SERVERS_DIR: join(folder, 'servers') }
    expect(await outcome({ args: ['--only', 'nats'], env }, /there is no nats-server.*\)/)).toEqual({
      code: 1,
      reasons: [expect.stringMatching(/^there is no nats-server 2\.9 or newer on PATH: .*(https:|brew install).*\)$/)],
    })
  })

  it.each([
    [['--onyl', 'api'], "ponix-orchestrator: unknown option '--onyl' (did you mean --only?)"],
    [['--only', 'apii'], '--only "apii": there is no such process; did you mean "api"?'],
    [['--config', '/nowhere/x.json'], '/nowhere/x.json does not exist'],
    [['--mqtt-broker', 'localhost:99999'], expect.stringMatching(/localhost:99999/)],
  ])('%j, says what is wrong, starting nothing', async (args, line) => {
    const graph = await start({ args })
    expect(await graph.ended()).toBe(2)
    expect(graph.output.split('\n')).toEqual([line])
  })

  it('O-20 a broken file, shows the line and the place in it, starting nothing', async () => {
    const file = join(await temporaryFolder(), 'x.json')
    await writeFile(file, '{\n  "processes": {\n    "a": { "command": x }\n  }\n}\n')
    const graph = await start({ args: ['--config', file] })
    expect(await graph.ended()).toBe(2)
    expect(graph.output).toMatch(/x\.json:3:23: .*\n3 \| {5}"a": \{ "command": x \}\n {2}\| {23}\^/)
  })
})

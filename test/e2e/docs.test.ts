import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Graph } from '../rig/orchestrator/graph.ts'
import { Program, projectRoot } from '../rig/program.ts'
import { freePort } from '../rig/servers.ts'
import {
  argument,
  blocksOf,
  commandsIn,
  type Exceptions,
  likeness,
  readDocuments,
  shellWords,
  type Values,
  withValues,
} from '../rig/documents/document-commands.ts'
import { isOnPath, publish, request } from '../rig/documents/installed-programs.ts'
import { startWithOtherServers } from '../rig/documents/other-servers.ts'
import { profileCalls } from '../rig/documents/profile-calls.ts'
import { startSeveralInstances } from '../rig/documents/several-instances.ts'

const ROWS = { timeout: 60_000, interval: 200 }
const run = promisify(execFile)

const { pipeline: documents } = await readDocuments(projectRoot)
const page = (path: string): string => documents.find((document) => document.path === path)?.text ?? ''
const commands = [...new Set(documents.flatMap(commandsIn).map(({ text }) => text))]

/** The commands that the test does not run, and the reason. */
const NOT_HERE: Exceptions = [
  [/^npm test$/, 'includes this test'],
  [/^npm run check$/, 'npm test includes it'],
  [/^npm run format$/, 'rewrites sources; npm run check compares'],
  [/^npm run generate(:\w+)?$/, 'rewrites generated files; npm run check compares'],
  [/^npm run test:nodes$/, 'takes minutes and downloads versions of Node'],
  [/^npx vitest$/, 'runs all tests, as npm test does'],
  [
    /^npx vitest run .*(schema|routes|default-graph)\.test\.ts -u$/,
    'rewrites documents; the same test without -u compares them',
  ],
  [/^PONIX_POSTGRES_PORT=\S+ PONIX_CLICKHOUSE_URL=\S+ node --inspect-brk /, 'waits for a debugger'],
  [/^npm start -- --disable api --disable demo$/, 'accompanies the debugged program; another command tests --disable'],
  [/^npm start -- --disable demo$/, 'operations.test.ts starts its graph with it'],
  [/^npm run bench/, 'takes many minutes and a machine of its own'],
  [/^PONIX_CDC_CRASHES=/, 'takes minutes; npm test runs the same with fewer kills'],
  [/^ponix-cdc (resnapshot|forget)$/, 'changes the slot; administration.pg.test.ts and recovery.pg.test.ts run it'],
  [/^npx ponix-codec (run|test) /, 'needs no servers; decoders-page.test.ts of services/codec runs it'],
  [/^npx ponix-codec (push|pull) /, 'needs the api only; profiles.pg.test.ts of services/codec runs it'],
  [/^(ponix-analytics (dead-letters|redecode)|curl -f)$/, 'names a group of commands or an option'],
  [/^npx ponix-orchestrator down$/, 'supervisor-docs.test.ts runs it'],
  [/^apt install /, 'changes the machine'],
  [/^docker run /, 'needs Docker and its images'],
]

describe('commands of the documents of the pipeline', () => {
  let graph: Graph
  let project: string
  let organizationId = 'not created'
  let deviceId = 'not created'
  let gatewayId = 'not created'
  const profiles = profileCalls(grpcurl)

  beforeAll(async () => {
    project = await temporaryProject()
    graph = await Graph.start({ command: ['npm', 'start', '--'] })
    await graph.line(/^\[orchestrator\] .*all .*ready/)
  }, 600_000)

  afterAll(async () => {
    await graph[Symbol.asyncDispose]()
    await rm(project, { recursive: true, force: true })
  })

  /** Creates a project with this package installed. */
  async function temporaryProject(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'ponix-docs-'))
    const bin = join(folder, 'node_modules/.bin')
    await mkdir(bin, { recursive: true })
    for (const program of ['ponix-analytics', 'ponix-cdc']) {
      await symlink(join(projectRoot, `bin/${program}.js`), join(bin, program))
    }
    return folder
  }

  function projectEnvironment(): NodeJS.ProcessEnv {
    const path = [join(project, 'node_modules/.bin'), process.env['PATH']].join(delimiter)
    return { ...process.env, PATH: path }
  }

  function valuesOfThisRun(): Values {
    return [
      ['50051', String(graph.ports.PONIX_GRPC_PORT)],
      ['15432', String(graph.ports.PONIX_POSTGRES_PORT)],
      ['11883', String(graph.ports.PONIX_MQTT_PORT)],
      ['18123', String(graph.ports.PONIX_CLICKHOUSE_PORT)],
      ['14222', String(graph.ports.PONIX_NATS_PORT)],
      ['19101', String(graph.ports.PONIX_API_HTTP_PORT)],
      ['19103', String(graph.ports.PONIX_GATEWAY_ORCHESTRATOR_HTTP_PORT)],
      ['ORG', organizationId],
      ['DEVICE', deviceId],
      ['GATEWAY', gatewayId],
      ['PROFILE', profiles.profileId],
    ]
  }

  /** Sends the same call with `buf curl`, which also uses reflection. */
  async function grpcurl(command: string): Promise<unknown> {
    const words = shellWords(withValues(command, valuesOfThisRun()))
    const [address, method] = words.slice(-2)
    const flags = ['--http2-prior-knowledge', '--protocol', 'grpc', '-d', argument(words, '-d')]
    const buf = join(projectRoot, 'node_modules/.bin/buf')
    const { stdout } = await run(buf, ['curl', ...flags, `http://${address}/${method}`], { cwd: projectRoot })
    return JSON.parse(stdout)
  }

  async function createOrganization(command: string): Promise<void> {
    const answer = await grpcurl(command)
    expect(answer).toEqual({ organization: expect.objectContaining({ id: expect.any(String), name: 'Acme' }) })
    organizationId = (answer as { organization: { id: string } }).organization.id
  }

  async function createEndDevice(command: string): Promise<void> {
    const answer = await grpcurl(command)
    expect(answer).toEqual({
      endDevice: expect.objectContaining({ deviceId: expect.any(String), organizationId, name: 'Sensor Alpha' }),
    })
    deviceId = (answer as { endDevice: { deviceId: string } }).endDevice.deviceId
  }

  async function createLorawanDevice(command: string): Promise<void> {
    const externalId = '70b3d57ed0000a01'
    expect(await grpcurl(command)).toEqual({ endDevice: expect.objectContaining({ organizationId, externalId }) })
  }

  async function createGateway(command: string): Promise<void> {
    const answer = await grpcurl(command)
    expect(answer).toEqual({ gateway: expect.objectContaining({ organizationId, gatewayId: expect.any(String) }) })
    gatewayId = (answer as { gateway: { gatewayId: string } }).gateway.gatewayId
    await graph.line(new RegExp(`gateway-orchestrator.*(running.*${gatewayId}|${gatewayId}.*running)`))
  }

  async function callWithBuf(command: string): Promise<void> {
    const line = withValues(command, valuesOfThisRun())
    const { stdout } = await run('sh', ['-c', line], { cwd: projectRoot, env: outsideOfVitest() })
    expect(JSON.parse(stdout)).toEqual({ organization: expect.objectContaining({ name: 'Acme' }) })
  }

  /** Calls a method whose answer has the gateway, until it runs. */
  async function showsRunningGateway(command: string): Promise<void> {
    const running = { connection: { state: 'GATEWAY_CONNECTION_STATE_RUNNING' }, status: 'GATEWAY_STATUS_ACTIVE' }
    await expect.poll(() => grpcurl(command), ROWS).toMatchObject({ gateway: { gatewayId, ...running } })
  }

  async function listsGateways(command: string): Promise<void> {
    expect(await grpcurl(command)).toMatchObject({ gateways: [{ gatewayId }] })
  }

  async function updatesGateway(command: string): Promise<void> {
    const { gateway } = (await grpcurl(command)) as { gateway: { gatewayId: string; gatewayConfig: string } }
    expect(gateway.gatewayId).toBe(gatewayId)
    expect(JSON.parse(gateway.gatewayConfig)).toHaveProperty('retained', true)
  }

  async function deletesGateway(command: string): Promise<void> {
    expect(await grpcurl(command)).toMatchObject({ gateway: { gatewayId, deletedAt: expect.any(String) } })
  }

  async function showsGateways(command: string): Promise<void> {
    const answer = await request(withValues(command, valuesOfThisRun()))
    expect(JSON.parse(answer)).toMatchObject({
      gateways: expect.arrayContaining([expect.objectContaining({ gateway_id: expect.any(String), state: 'running' })]),
    })
  }

  async function showsRow(command: string): Promise<void> {
    const line = withValues(command, valuesOfThisRun())
    await expect.poll(() => request(line), ROWS).toMatch(/"temperature_0": ?25\.5/)
  }

  async function showsAverage(command: string): Promise<void> {
    const line = withValues(command, valuesOfThisRun())
    await expect.poll(() => request(line), ROWS).toMatch(/25\.5/)
  }

  async function showsMetrics(command: string): Promise<void> {
    expect(await request(withValues(command, valuesOfThisRun()))).toMatch(/^ponix_\w+.* \d/m)
  }

  async function readsTelemetry(command: string): Promise<void> {
    await expect.poll(async () => JSON.stringify(await grpcurl(command)), ROWS).toContain('"temperature_0":25.5')
  }

  /** Sends the request with curl, or the same request without it. */
  async function downloadsCsv(command: string): Promise<void> {
    const words = shellWords(withValues(command, valuesOfThisRun()))
    const url = words.find((word) => word.startsWith('http')) ?? 'no URL'
    const file = join(project, argument(words, '-o'))
    if (await isOnPath('curl')) await run('sh', ['-c', withValues(command, valuesOfThisRun())], { cwd: project })
    else await writeFile(file, await (await fetch(url)).text())
    expect(await readFile(file, 'utf8')).toMatch(/^end_device_id,occurred_at,temperature_0\r\n\w+,[^,]+Z,25\.5\r\n$/)
  }

  /** Checks that the command succeeds with the servers of the running graph, without an error line. */
  async function runWithServers(command: string): Promise<void> {
    const options = { cwd: project, env: projectEnvironment() }
    const { stderr } = await run('sh', ['-c', withValues(command, valuesOfThisRun())], options)
    expect(stderr).not.toMatch(/^(analytics|cdc):/m)
  }

  async function runInClone(command: string): Promise<void> {
    await run('sh', ['-c', command], { cwd: projectRoot, env: outsideOfVitest() })
  }

  /** Runs the command with a free port, because the default port may be in use. */
  async function waitForDebugger(command: string): Promise<void> {
    const onFreePort = command.replace('--inspect-brk', `--inspect-brk=127.0.0.1:${await freePort()}`)
    const options = { cwd: projectRoot, env: outsideOfVitest(), detached: true }
    const vitest = new Program('sh', ['-c', `exec ${onFreePort}`], options)
    await vitest.seen(/Debugger listening on/)
    vitest.signalGroup('SIGKILL')
    await vitest.outcome
  }

  function outsideOfVitest(): NodeJS.ProcessEnv {
    return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')))
  }

  async function startWithDebugLogging(command: string): Promise<void> {
    const args = command.slice(command.indexOf('--')).split(' ').slice(1)
    await using other = await Graph.start({ command: ['npm', 'start', '--'], args, env: { PONIX_LOG_LEVEL: 'debug' } })
    await other.line(/^\[orchestrator\] .*ready/)
  }

  const HERE: readonly (readonly [command: RegExp, run: (command: string) => Promise<void>])[] = [
    [/^npm start$/, showsSampleOutput],
    [/^npm test -- .*lock\.test/, runInClone],
    [/^npx vitest run .*lock\.test/, runInClone],
    [/^npx vitest --inspect-brk .*lock\.test/, waitForDebugger],
    [/^npx buf curl /, callWithBuf],
    [/^grpcurl .*GatewayService\/ListGateways$/, listsGateways],
    [/^grpcurl .*GatewayService\/GetGateway$/, showsRunningGateway],
    [/^grpcurl .*GatewayService\/UpdateGateway$/, updatesGateway],
    [/^grpcurl .*GatewayService\/DeleteGateway$/, deletesGateway],
    [/^curl \S+\/gateways$/, showsGateways],
    [/^PONIX_LOG_LEVEL=debug npm start -- /, startWithDebugLogging],
    [/^grpcurl .*OrganizationService\/CreateOrganization$/, createOrganization],
    ...profiles.commands,
    [/^grpcurl .*"external_id".*EndDeviceService\/CreateEndDevice$/, createLorawanDevice],
    [/^grpcurl .*EndDeviceService\/CreateEndDevice$/, createEndDevice],
    [/^grpcurl .*GatewayService\/CreateGateway$/, createGateway],
    [/\| mosquitto_pub /, (command) => publish(withValues(command, valuesOfThisRun()))],
    [/^curl .*SELECT occurred_at, data FROM processed_envelopes/, showsRow],
    [/^grpcurl .*TelemetryService\//, readsTelemetry],
    [/^curl .*\/envelopes\.csv/, downloadsCsv],
    [/^curl .*avg\(data\./, showsAverage],
    [/^curl \S+\/metrics$/, showsMetrics],
    [/^(PONIX_POSTGRES_PORT=\S+ )?PONIX_NATS_URL=\S+ npx ponix-analytics dead-letters /, runWithServers],
    [/^PONIX_POSTGRES_PORT=\S+ \S+ \S+ npx ponix-analytics (purge|redecode) /, runWithServers],
    [/^PONIX_POSTGRES_PORT=\S+ \S+ npx ponix-cdc status$/, runWithServers],
    [/^PONIX_POSTGRES_PORT=\S+ npx ponix-cdc resnapshot$/, runWithServers],
    [/^PONIX_POSTGRES_HOST=\S+ .* npm start -- /, (command) => startWithOtherServers(command, page('docs/servers.md'))],
    [/^npx ponix-orchestrator -c three\.json$/, (command) => startSeveralInstances(command, page('docs/gateways.md'))],
  ]

  /** Checks that the output has the lines of the sample, with other numbers. */
  async function showsSampleOutput(): Promise<void> {
    const sample = documents.flatMap((document) => blocksOf('text', document)).flatMap((block) => block.split('\n'))
    const lines = sample.filter((line) => line.startsWith('[demo]'))
    expect(lines.length).toBeGreaterThan(3)
    for (const line of lines) {
      await expect.poll(() => graph.output, ROWS).toMatch(likeness(line))
    }
  }

  const known = (command: string): boolean => [...NOT_HERE, ...HERE].some(([pattern]) => pattern.test(command))
  const runnable = commands.filter((command) => !NOT_HERE.some(([pattern]) => pattern.test(command)))

  it('are all run by this test, or listed with a reason', () => {
    expect(commands.filter((command) => !known(command))).toEqual([])
  })

  it('cover every pattern of this test', () => {
    const unused = [...NOT_HERE, ...HERE].filter(([pattern]) => !commands.some((command) => pattern.test(command)))
    expect(unused.map(([pattern]) => pattern.source)).toEqual([])
  })

  it.each(runnable.filter(known))('%s works as documented', async (command) => {
    const [, runHere] = HERE.find(([pattern]) => pattern.test(command)) ?? []
    await expect(runHere?.(command)).resolves.toBeUndefined()
  })
})

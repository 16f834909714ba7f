import { once } from 'node:events'
import { get } from 'node:http'
import { createServer } from 'node:net'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { TestSchema } from '../../test/rig/adapters/test-schema.ts'
import { OrganizationService } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { GrpcClient } from '../../src/proto/grpc.ts'
import { builtProgram, Program } from '../../test/rig/program.ts'
import { freePort } from '../../test/rig/servers.ts'

// The built program, as the orchestrator starts it.

let schema: TestSchema

beforeAll(async () => {
  schema = await TestSchema.create(inject('postgres'))
})

afterAll(async () => schema[Symbol.asyncDispose]())

function start(variables: Readonly<Record<string, string>>): Program {
  const { host, port, database, username, password } = schema.options
  const env = {
    PATH: process.env['PATH'],
    PONIX_POSTGRES_HOST: host,
    PONIX_POSTGRES_PORT: String(port),
    PONIX_POSTGRES_DATABASE: database,
    PONIX_POSTGRES_USERNAME: username,
    PONIX_POSTGRES_PASSWORD: password,
    PONIX_CLICKHOUSE_URL: 'http://127.0.0.1:1',
    PONIX_STARTUP_TIMEOUT_SECS: '10',
    ...variables,
  }
  return new Program(process.execPath, [builtProgram('api')], { env, notify: true })
}

test('R-5 ponix-api is ready without ClickHouse; B-11 its CSV has the guard of Host; A-10 it exits with code 0 on SIGTERM', async () => {
  const grpcPort = await freePort()
  const httpPort = await freePort()
  const variables = { PONIX_GRPC_PORT: String(grpcPort), PONIX_API_HTTP_PORT: String(httpPort) }
  const api = start(variables)
  await api.ready()
  const client = new GrpcClient(`127.0.0.1:${grpcPort}`)
  await client.call(OrganizationService.method.createOrganization, { name: 'Acme' })
  const ready = await fetch(`http://127.0.0.1:${httpPort}/readyz`)
  expect(ready.status).toBe(200)
  const metrics = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text()
  expect(metrics).toContain(
    'ponix_api_calls_total{method="ponix.organization.v1.OrganizationService/CreateOrganization",code="OK"} 1',
  )
  const csv = await fetch(`http://127.0.0.1:${httpPort}/v1/organizations/nobody/envelopes.csv`)
  expect([csv.status, await csv.text()]).toEqual([404, 'Organization not found: nobody\n'])
  const rebound = { host: '127.0.0.1', port: httpPort, path: new URL(csv.url).pathname, headers: { host: 'a.example' } }
  const [refusal] = await once(get(rebound), 'response')
  expect(refusal.resume().statusCode).toBe(421)
  api.signal('SIGTERM')
  const { code, stdout, stderr } = await api.outcome
  client.close()
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain('"method":"ponix.organization.v1.OrganizationService/CreateOrganization","code":"OK"')
})

test('A-7 ponix-api rejects an address off loopback with one line and exit code 1 before it waits for any server', async () => {
  const { code, stderr } = await start({ PONIX_GRPC_HOST: '0.0.0.0', PONIX_POSTGRES_PORT: '1' }).outcome
  expect(code).toBe(1)
  expect(stderr).toBe(
    'ponix-api: PONIX_GRPC_HOST=0.0.0.0 can be reached by other machines, and the api has no authentication yet: ' +
      'set it to 127.0.0.1 and use a proxy that authenticates\n',
  )
})

test('ponix-api reports a gRPC port in use with one line and exit code 1', async () => {
  const port = await freePort()
  const other = createServer().listen(port, '127.0.0.1')
  await once(other, 'listening')
  const { code, stderr } = await start({ PONIX_GRPC_PORT: String(port) }).outcome
  other.close()
  expect(code).toBe(1)
  expect(stderr).toBe(
    `ponix-api: cannot listen on 127.0.0.1:${port} for gRPC: the port is in use by another program: ` +
      'stop it, or set PONIX_GRPC_PORT to another port\n',
  )
})

test('R-6 ponix-api reports a PostgreSQL that does not answer with one line and exit code 1', async () => {
  const port = await freePort()
  const { code, stderr } = await start({ PONIX_POSTGRES_PORT: String(port), PONIX_STARTUP_TIMEOUT_SECS: '0.2' }).outcome
  expect(code).toBe(1)
  expect(stderr).toMatch(/^ponix-api: PostgreSQL at 127\.0\.0\.1:\d+\/\w+ did not answer for 0\.2 s: .*\n$/)
})

test('R-7 ponix-api reports invalid variables with one line each and exit code 2', async () => {
  const { code, stderr } = await start({ PONIX_GRPC_PORT: '99999', PONIX_API_POSTGRES_CONNECTIONS: '0' }).outcome
  expect(code).toBe(2)
  expect(stderr).toBe(
    'ponix-api: PONIX_GRPC_PORT="99999": expected a whole number from 0 to 65535\n' +
      'ponix-api: PONIX_API_POSTGRES_CONNECTIONS="0": expected a whole number from 1 to 1000\n',
  )
})

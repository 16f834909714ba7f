import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { projectRoot } from '../../../../test/rig/program.ts'
import { load, store } from '../../../../test/rig/configuration/config.ts'

const docs = join(projectRoot, 'docs')

/** Returns a validator of a generated JSON Schema. */
function validator(name: string): (value: unknown) => boolean {
  const schema: object = JSON.parse(readFileSync(join(docs, name), 'utf8'))
  return new Ajv2020({ strict: false }).compile(schema)
}

function isAccepted(file: unknown): boolean {
  try {
    load(file)
    return true
  } catch {
    return false
  }
}

const web = (process: object) => ({ processes: { web: { ...store, ...process } } })
const token = '0123456789abcdef'

const valid = [
  { processes: { store } },
  { $schema: 'x', env: { A: '1' }, control: false, processes: { store } },
  { control: { http: 19_200, token }, processes: { store } },
  web({ args: ['a'] }),
  web({ shell: true, command: 'a | b' }),
  web({ shell: true, args: [] }),
  web({ kind: 'task', restart: { policy: 'on_failure' } }),
  web({ restart: { max_attempts: 3, window_ms: 1000 } }),
  web({ readiness_probe: { exec: ['true'] }, liveness_probe: { http_get: 'http://localhost/' } }),
  web({ readiness_probe: { log_line: 'up' }, replicas: 3 }),
  web({ replicas: 1, readiness_probe: { tcp_socket: 'localhost:80' } }),
  web({ log: { file: 'x.log', max_size: '10MB', max_files: 2 } }),
  web({ log: { file: 'x.log', max_size: '1.5 gib' } }),
  web({ env: { PORT: '80' }, readiness_probe: { tcp_socket: 'localhost:${PORT}' } }),
  web({ liveness_probe: { http_get: '${URL:-http://localhost/}' } }),
  web({ depends_on: [] }),
  web({ kind: 'task', schedule: '@daily' }),
  web({ watch: true }),
  web({ memory_limit: '150MB' }),
  web({ memory_limit: 1_000_000 }),
  web({ on_failed: 'mail root' }),
  web({ on_failed: { command: 'mail', args: ['root'] } }),
  { on_failed: { webhook: 'https://example.com/' }, processes: { store } },
  web({ watch: { paths: ['src'] } }),
]

const invalid = [
  {},
  [],
  { processes: {} },
  { processes: { web: {} } },
  { processes: { '7': store } },
  { processes: { store }, unknown: 1 },
  { control: { token }, processes: { store } },
  web({ unknown: 1 }),
  web({ command: '' }),
  web({ shell: true, args: ['a'] }),
  web({ kind: 'task', restart: { policy: 'always' } }),
  web({ kind: 'job' }),
  web({ restart: 'always' }),
  web({ restart: { window_ms: 1000 } }),
  web({ readiness_probe: {} }),
  web({ readiness_probe: { exec: 'a', log_line: 'b' } }),
  web({ liveness_probe: { period_ms: 5 } }),
  web({ liveness_probe: { log_line: 'up' } }),
  web({ liveness_probe: { exec: 'a', http_get: 'http://localhost/' } }),
  web({ replicas: 2, readiness_probe: { tcp_socket: 'localhost:80' } }),
  web({ replicas: 2, liveness_probe: { http_get: 'http://localhost/' } }),
  web({ replicas: 2, provides: 'mqtt_broker' }),
  web({ log: { max_size: '10MB' } }),
  web({ log: { max_files: 3 } }),
  web({ readiness_probe: { http_get: 'localhost:80' } }),
  web({ liveness_probe: { tcp_socket: 'localhost' } }),
  web({ log: { file: 'x.log', max_size: 'large' } }),
  web({ env: { PORT: 80 } }),
  web({ shutdown: { signal: 'TERM' } }),
  web({ schedule: '@daily' }),
  web({ kind: 'service', schedule: '@daily' }),
  web({ watch: ['src'] }),
  web({ kind: 'task', memory_limit: '150MB' }),
  web({ memory_limit: 0 }),
  web({ on_failed: {} }),
  web({ on_failed: { command: 'mail', webhook: 'https://example.com/' } }),
  web({ on_failed: { webhook: 'https://example.com/', args: ['a'] } }),
]

describe('the JSON Schema for editors (O-20)', () => {
  const matches = validator('commonplace.schema.json')

  it.each(valid)('accepts %j, as validate does', (file) => {
    expect([matches(file), isAccepted(file)]).toEqual([true, true])
  })

  it.each(invalid)('rejects %j, as validate does', (file) => {
    expect([matches(file), isAccepted(file)]).toEqual([false, false])
  })
})

describe('the JSON Schema of files that are merged', () => {
  const matches = validator('commonplace.partial.schema.json')

  it.each([
    ...valid,
    {},
    { extends: ['./base.json'], processes: { web: null } },
    {
      processes: {
        web: { env: { A: null }, kind: null, readiness_probe: { http_get: null, exec: 'true' }, args: null },
      },
    },
    { processes: { web: { restart: { window_ms: 5 }, log: { max_files: 3 }, depends_on: { db: null } } } },
  ])('accepts %j', (file) => expect(matches(file)).toBe(true))

  it.each([
    { unknown: 1 },
    web({ unknown: null }),
    web({ args: [null] }),
    web({ kind: 'job' }),
    web({ restart: 'always' }),
  ])('rejects %j', (file) => expect(matches(file)).toBe(false))
})

import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  fileOf,
  loadDefaultGraph,
  loadGraph,
  type LoadedGraph,
  parseYamlDocuments,
} from '../../../test/rig/configuration/export.ts'
import { exportCompose } from './compose.ts'

const composeForm = z.strictObject({
  name: z.literal('plant'),
  services: z.record(
    z.string().regex(/^[a-z][a-z0-9-]*$/),
    z.strictObject({
      image: z.literal('plant:1'),
      entrypoint: z.array(z.string()).min(1),
      tty: z.literal(true).optional(),
      stdin_open: z.literal(true).optional(),
      working_dir: z.string().startsWith('/'),
      environment: z.record(z.string(), z.string()).optional(),
      env_file: z.array(z.string()).optional(),
      depends_on: z
        .record(
          z.string(),
          z.object({
            condition: z.enum(['service_started', 'service_healthy', 'service_completed_successfully']),
            required: z.literal(false).optional(),
          }),
        )
        .optional(),
      healthcheck: z
        .strictObject({
          test: z.tuple([z.literal('CMD-SHELL'), z.string()]),
          start_period: z.string(),
          start_interval: z.string(),
          interval: z.string(),
          timeout: z.string(),
          retries: z.int().min(1),
        })
        .optional(),
      restart: z.string(),
      deploy: z.strictObject({ replicas: z.int().min(2) }).optional(),
      mem_limit: z.int().optional(),
      stop_signal: z.string(),
      stop_grace_period: z.string(),
      profiles: z.array(z.string()).optional(),
      init: z.literal(true),
      network_mode: z.literal('host'),
    }),
  ),
})

function composeOf({ config, options }: LoadedGraph) {
  const exported = exportCompose(config, options)
  const text = fileOf(exported, 'compose.yaml')
  const [document] = parseYamlDocuments(text)
  return { services: composeForm.parse(document).services, notes: exported.notes, text }
}

const plain = { command: 'x' }

describe('export compose (O-10)', () => {
  it('gives a container a terminal if its process has "tty"', () => {
    const { services } = composeOf(loadGraph({ processes: { shell: { ...plain, tty: true }, web: plain } }))
    expect(services['shell']).toMatchObject({ tty: true, stdin_open: true })
    expect(services['web']).not.toHaveProperty('tty')
  })

  it('exports the default graph; dependents of a notify probe wait for health', () => {
    const { services } = composeOf(loadDefaultGraph())
    expect(Object.keys(services)).toHaveLength(10)
    expect(services['migrate']?.depends_on?.['postgres']).toEqual({ condition: 'service_healthy' })
    expect(services['api']?.depends_on?.['migrate']).toEqual({ condition: 'service_completed_successfully' })
    expect(services['demo']?.healthcheck?.test[1]).toBe('test -s /tmp/ponix-ready')
    expect(services['demo']?.entrypoint).toEqual([
      '/bin/sh',
      '-c',
      'exec 3>/tmp/ponix-ready; export NOTIFY_FD=3; exec ponix-demo',
    ])
  })

  it.each([
    ['started', 'service_started'],
    ['ready', 'service_healthy'],
    ['completed_successfully', 'service_completed_successfully'],
    ['completed', 'service_completed_successfully'],
  ])('exports the condition %s as %s', (condition, expected) => {
    const isEnd = condition.startsWith('completed')
    const a = { ...plain, ...(isEnd ? { kind: 'task' } : { readiness_probe: { tcp_socket: '127.0.0.1:80' } }) }
    const { services, notes } = composeOf(
      loadGraph({ processes: { a, b: { ...plain, depends_on: { a: { condition } } } } }),
    )
    expect(services['b']?.depends_on).toEqual({ a: { condition: expected } })
    expect(notes.some((note) => note.includes('only waits until it ends'))).toBe(condition === 'completed')
  })

  it('exports equal replicas as one service, and says that they do not know their number', () => {
    const processes = { worker: { ...plain, replicas: 3 }, web: { ...plain, depends_on: ['worker'] } }
    const { services, notes } = composeOf(loadGraph({ processes }))
    expect(Object.keys(services)).toEqual(['worker', 'web'])
    expect(services['worker']).toMatchObject({ deploy: { replicas: 3 } })
    expect(services['worker']).not.toHaveProperty('environment')
    expect(services['web']?.depends_on).toEqual({ worker: { condition: 'service_started' } })
    expect(services['web']).not.toHaveProperty('deploy')
    expect(notes).toContainEqual(
      expect.stringMatching(/^worker: its 3 replicas are equal, so PONIX_REPLICA is not set/),
    )
  })

  it('exports replicas that use their number as one service each, and says why', () => {
    const worker = { ...plain, args: ['${PONIX_REPLICA}'], replicas: 2 }
    const { services, notes } = composeOf(loadGraph({ processes: { worker } }))
    expect(services).toMatchObject({
      'worker-1': { entrypoint: ['x', '1'], environment: { PONIX_REPLICA: '1' } },
      'worker-2': { entrypoint: ['x', '2'], environment: { PONIX_REPLICA: '2' } },
    })
    expect(notes).toContain('worker#1, worker#2: its replicas use their number in args, so each is exported by itself')
  })

  it.each([
    [{ tcp_socket: '127.0.0.1:80' }, 'a: its tcp_socket is checked by nc or bash, one of which the image must contain'],
    [{ http_get: 'http://[::1]/' }, 'a: its http_get is checked by curl or wget, one of which the image must contain'],
  ])('names the programs that the probe %j needs in the image', (readiness_probe, note) => {
    expect(composeOf(loadGraph({ processes: { a: { ...plain, readiness_probe } } })).notes).toContain(note)
  })

  it('exports profiles, and dependencies on their processes as optional', () => {
    const file = { processes: { a: { ...plain, profiles: ['dev'] }, b: { ...plain, depends_on: ['a'] } } }
    expect(composeOf(loadGraph(file, {}, { profiles: ['dev'] })).services).toMatchObject({
      a: { profiles: ['dev'] },
      b: { depends_on: { a: { condition: 'service_started', required: false } } },
    })
  })

  it('exports a log_line condition as started, with a note', () => {
    const a = { ...plain, readiness_probe: { log_line: 'up' } }
    const { services, notes } = composeOf(loadGraph({ processes: { a, b: { ...plain, depends_on: ['a'] } } }))
    expect(services['b']?.depends_on).toEqual({ a: { condition: 'service_started' } })
    expect(services['a']?.healthcheck).toBeUndefined()
    expect(notes).toContainEqual(expect.stringMatching(/^a: its log_line/))
  })

  it('exports probes with all their times', () => {
    const probe = { http_get: 'http://127.0.0.1:80/x?y', period_ms: 1500, timeout_ms: 3000, failure_threshold: 4 }
    const { services } = composeOf(
      loadGraph({ processes: { a: { ...plain, readiness_probe: probe, startup_timeout_ms: 60_000 } } }),
    )
    expect(services['a']?.healthcheck).toEqual({
      test: ['CMD-SHELL', expect.stringContaining(`curl -fsSk -o /dev/null 'http://127.0.0.1:80/x?y'`)],
      start_period: '60s',
      start_interval: '1500ms',
      interval: '1500ms',
      timeout: '3s',
      retries: 4,
    })
  })

  it.each([
    [{}, 'unless-stopped'],
    [{ policy: 'on_failure' }, 'on-failure'],
    [{ policy: 'on_failure', max_attempts: 3 }, 'on-failure:3'],
    [{ policy: 'never' }, 'no'],
  ])('exports the restart policy %j as %s', (restart, expected) => {
    expect(composeOf(loadGraph({ processes: { a: { ...plain, restart } } })).services['a']?.restart).toBe(expected)
  })

  it('exports command, folder, variables, signal and timeout; a dollar stays a dollar', () => {
    const a = {
      command: 'echo "$HOME"',
      shell: true,
      cwd: 'sub/folder',
      env: { PRICE: '5 $' },
      shutdown: { signal: 'SIGINT', timeout_ms: 1500 },
    }
    expect(composeOf(loadGraph({ processes: { a } })).services['a']).toMatchObject({
      entrypoint: ['/bin/sh', '-c', 'echo "$$HOME"'],
      working_dir: '/app/sub/folder',
      environment: { PRICE: '5 $$' },
      stop_signal: 'SIGINT',
      stop_grace_period: '1500ms',
    })
  })

  it('exports secrets of the whole file as one file for all services (O-42)', () => {
    const processes = { a: { command: 'x', env: { OWN_KEY: 'hunter22' } }, b: { command: 'x' } }
    const { services, notes } = composeOf(loadGraph({ env: { API_TOKEN: 'hunter22' }, processes }))
    expect([services['a']?.env_file, services['b']?.env_file]).toEqual([['shared.env', 'a.env'], ['shared.env']])
    expect(notes).toContainEqual(expect.stringMatching(/^a, b: API_TOKEN: secret.* into shared\.env beside/))
  })

  it('exports secrets as references, and notes name the file for them (O-42)', () => {
    const a = { command: 'x', args: ['--token', 'hunter22', "it's"], env: { DB_PASSWORD: 'hunter22' } }
    const { services, notes, text } = composeOf(loadGraph({ processes: { a } }))
    expect(text).not.toContain('hunter22')
    expect(services['a']?.env_file).toEqual(['a.env'])
    const line = String.raw`exec x --token "$$A_ARGUMENT_2" 'it'\''s'`
    expect(services['a']?.entrypoint).toEqual(['/bin/sh', '-c', line])
    expect(notes).toContainEqual(expect.stringContaining('DB_PASSWORD, A_ARGUMENT_2: secret'))
    expect(text).toContain('# a: DB_PASSWORD, A_ARGUMENT_2: secret')
  })
})

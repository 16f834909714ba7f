import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { folder, load, one, problems, store } from '../../../test/rig/configuration/config.ts'

describe('interpolation', () => {
  it('replaces variables in args, env and cwd; each value can reference earlier variables', () => {
    const process = one(
      {
        args: ['${A}-${B}', '${mqtt_broker}'],
        env: { B: '${A}2', C: '${B:-x}3', PATH: '/own:${PATH}' },
        cwd: '${HOME}/data',
      },
      {},
      { mqtt_broker: 'there:1', env: { A: '${HOME}1' } },
    )
    expect(process.args).toEqual(['/home/me1-/home/me12', 'there:1'])
    expect(process.env).toMatchObject({ A: '/home/me1', B: '/home/me12', C: '/home/me123' })
    expect(process.env['PATH']).toMatch(/:\/own:\/usr\/bin$/)
    expect(process.cwd).toBe('/home/me/data')
  })

  it('reports an unset variable of the shared env once, not per process', () => {
    expect(problems({ env: { A: '${NOPE}' }, processes: { a: store, b: store } })).toEqual([
      'env.A: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
    ])
  })
})

describe('env_file', () => {
  it('overrides the env of the file and is overridden by that of the process', () => {
    writeFileSync(join(folder, 'one.env'), '# comment\nA=file\nexport B="fi le"\nC=file\n\nD=\'two\nlines\'\n')
    writeFileSync(join(folder, 'two.env'), 'C=second\n')
    const { env } = one(
      { env_file: ['one.env', 'two.env'], env: { B: 'own', E: '${A}' } },
      {},
      { env: { A: 'shared' } },
    )
    expect(env).toMatchObject({ A: 'file', B: 'own', C: 'second', D: 'two\nlines', E: 'file' })
  })

  it.each([
    ['PASSWORD hunter2', 'line 1: expected NAME=value'],
    ['A=1\nhunter2\n', 'line 2: expected NAME=value'],
    ['A=1\nB="hunter2\nC=3', 'line 2: the quote that begins here is not closed'],
  ])('%j is rejected without being shown', (text, expected) => {
    writeFileSync(join(folder, 'bad.env'), text)
    const [problem = ''] = problems({ processes: { a: { ...store, env_file: 'bad.env' } } })
    expect(problem).toContain(`processes.a.env_file: "${folder}/bad.env" ${expected}`)
    expect(problem).not.toContain('hunter2')
  })

  it('a missing file is an error', () => {
    expect(problems({ processes: { a: { ...store, env_file: ['none.env'] } } })).toEqual([
      `processes.a.env_file[0]: "${folder}/none.env" does not exist; if it is optional, write {"path": …, "required": false}`,
    ])
  })

  it('an optional file can be missing, but not broken', () => {
    const optional = (name: string) => ({ ...store, env_file: [{ path: name, required: false }] })
    expect(load({ processes: { a: optional('none.env') } }).processes).toHaveLength(1)
    writeFileSync(join(folder, 'broken.env'), 'x')
    expect(problems({ processes: { a: optional('broken.env') } })).toEqual([
      expect.stringMatching(/^processes\.a\.env_file\[0\]\.path: .* line 1: expected NAME=value/),
    ])
    expect(problems({ processes: { a: { ...store, env_file: { path: 'x', requird: false } } } })).toEqual([
      'processes.a.env_file.requird: unknown key; did you mean "required"?',
    ])
  })

  it('has variables in its path', () => {
    writeFileSync(join(folder, 'test.env'), 'A=test\n')
    const process = one({ env_file: '${MODE}.env' }, {}, { env: { MODE: 'test' } })
    expect(process.env['A']).toBe('test')
  })

  it('of the file is for every process; a broken one is reported once, and what it may set is not', () => {
    writeFileSync(join(folder, 'shared.env'), 'A=shared\nB=shared\n')
    const { processes } = load({ env_file: 'shared.env', env: { B: '${A}2' }, processes: { a: store, b: store } })
    expect(processes.map(({ env }) => [env['A'], env['B']])).toEqual([
      ['shared', 'shared2'],
      ['shared', 'shared2'],
    ])
    expect(problems({ env_file: 'none.env', processes: { a: { ...store, args: ['${X}'] }, b: store } })).toEqual([
      expect.stringMatching(/^env_file: .*none\.env" does not exist/),
      expect.stringMatching(/^processes\.a\.args\[0\]: \$\{X\} is not set/),
    ])
    writeFileSync(join(folder, 'invalid.env'), '-')
    expect(problems({ env_file: 'invalid.env', processes: { a: { ...store, args: ['${X}'] }, b: store } })).toEqual([
      expect.stringMatching(/^env_file: .*invalid\.env" line 1/),
    ])
  })
})

describe('the precedence of variables', () => {
  const sources = ['process_env', 'process_env_file', 'file_env', 'file_env_file', 'inherited'] as const

  it.each(sources.map((source, index) => [source, sources.slice(index)] as const))(
    'the value of %s wins over the later ones: %j',
    (winner, present) => {
      const has = (source: (typeof sources)[number]) => present.includes(source)
      writeFileSync(join(folder, 'file.env'), 'X=file_env_file\n')
      writeFileSync(join(folder, 'process.env'), 'X=process_env_file\n')
      const config = load(
        {
          ...(has('file_env') && { env: { X: 'file_env' } }),
          ...(has('file_env_file') && { env_file: 'file.env' }),
          processes: {
            store: {
              ...store,
              ...(has('process_env') && { env: { X: 'process_env' } }),
              ...(has('process_env_file') && { env_file: 'process.env' }),
            },
          },
        },
        { environment: { X: 'inherited' } },
      )
      expect(config.processes[0]?.env['X']).toBe(winner)
      expect(config.variables.get('store')?.environment.get('X')).toMatchObject({
        value: winner,
        source: { type: winner },
      })
    },
  )
})

describe('variables outside of env and args', () => {
  const variables = { env: { HOST: '127.0.0.1', PORT: '80' } }

  it.each([
    [{ tcp_socket: '${HOST}:${PORT}' }, { type: 'tcp_socket', host: '127.0.0.1', port: 80 }],
    [{ http_get: 'http://${HOST}:${PORT}/x' }, { type: 'http_get', url: 'http://127.0.0.1:80/x' }],
    [{ exec: ['nc', '-z', '${HOST}', '${PORT}'] }, { type: 'exec', command: ['nc', '-z', '127.0.0.1', '80'] }],
    [{ exec: 'nc ${HOST}' }, { type: 'exec', command: ['/bin/sh', '-c', 'nc ${HOST}'] }],
    [{ log_line: 'on ${HOST}:\\d+$' }, { type: 'log_line', pattern: /on 127\.0\.0\.1:\d+$/ }],
    [{ log_line: 'literal $${x}' }, { type: 'log_line', pattern: /literal ${x}/ }],
  ])('the probe %j is resolved', (probe, check) => {
    expect(one({ readiness_probe: probe }, {}, variables).readinessProbe?.check).toEqual(check)
  })

  it('include those of the process and the number of a replica', () => {
    const probe = { http_get: 'http://127.0.0.1:${PORT}${PONIX_REPLICA}' }
    const worker = { ...store, replicas: 2, env: { PORT: '808' }, readiness_probe: probe }
    const { processes } = load({ processes: { worker } })
    expect(processes.map(({ readinessProbe }) => readinessProbe?.check)).toMatchObject([
      { url: 'http://127.0.0.1:8081' },
      { url: 'http://127.0.0.1:8082' },
    ])
    expect(
      problems({
        processes: {
          worker: {
            ...worker,
            env: { PORT: '80', PONIX_REPLICA: 'x' },
            readiness_probe: { tcp_socket: 'localhost:${PORT}' },
          },
        },
      }),
    ).toEqual([
      'processes.worker.readiness_probe: probes the same address for every replica; use ${PONIX_REPLICA} in the address, or an exec probe',
    ])
  })

  it('invalid values are reported with their position, without secrets', () => {
    const tokens = { env: { API_KEY: 'hunter22', PORT: 'many' } }
    const a = {
      ...store,
      readiness_probe: { tcp_socket: 'localhost:${PORT}' },
      liveness_probe: { http_get: '${API_KEY}' },
    }
    expect(
      problems({ ...tokens, processes: { a, b: { ...store, readiness_probe: { log_line: '(${PORT}' } } } }),
    ).toEqual([
      'processes.a.readiness_probe.tcp_socket: expected host:port with a port from 1 to 65535, such as localhost:1883 or [::1]:1883, got "localhost:many"',
      'processes.a.liveness_probe.http_get: expected a URL that begins with http:// or https://, got a value that is not shown because it may be a secret',
      'processes.b.readiness_probe.log_line: expected a regular expression of JavaScript, got "(many"',
    ])
  })

  it('a secret in log_line is refused', () => {
    const a = { ...store, readiness_probe: { log_line: 'token ${API_TOKEN}' } }
    expect(problems({ env: { API_TOKEN: 'hunter22' }, processes: { a } })).toEqual([
      'processes.a.readiness_probe.log_line: a secret in the pattern would be a secret in the log; use another variable',
    ])
  })

  it('are an error if they are unset', () => {
    expect(
      problems({ processes: { a: { command: '${NOPE}', readiness_probe: { tcp_socket: 'localhost:${NOPE}' } } } }),
    ).toEqual([
      'processes.a.command: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
      'processes.a.readiness_probe.tcp_socket: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
    ])
  })

  it('the command is resolved, but not a shell line', () => {
    expect(one({ command: '${BIN}/x' }, {}, { env: { BIN: '/opt' } }).command).toBe('/opt/x')
    expect(one({ command: 'echo ${BIN}', shell: true }).command).toBe('echo ${BIN}')
    expect(problems({ env: { BIN: '' }, processes: { a: { command: '${BIN}' } } })).toEqual([
      'processes.a.command: expected a program name or path; the variables are empty',
    ])
  })

  it('mqtt_broker and control use env and env_file of the file', () => {
    writeFileSync(join(folder, 'own.env'), 'BROKER_HOST=there\nHTTP_PORT=19100\n')
    const file = { env_file: 'own.env', mqtt_broker: '${BROKER_HOST}:${PORT}', control: { http: '${HTTP_PORT}' } }
    const env = { PORT: '${OTHER:-1884}', URL: 'mqtt://${mqtt_broker}' }
    const config = load({ ...file, env, processes: { store } })
    expect(config).toMatchObject({ external: { host: 'there', port: 1884 }, control: { http: { port: 19_100 } } })
    expect(config.processes[0]?.env['URL']).toBe('mqtt://there:1884')
  })

  it('mqtt_broker cannot use itself', () => {
    const env = { URL: 'mqtt://${mqtt_broker}', ADDRESS: '${URL}' }
    expect(problems({ env, mqtt_broker: '${ADDRESS}', processes: { store } })).toEqual([
      'mqtt_broker: ${mqtt_broker} is not possible here, also not through a variable of "env"',
    ])
  })

  it('an error in env is reported once, not also where mqtt_broker uses the variable', () => {
    expect(problems({ env: { HOST: '${NOPE}' }, mqtt_broker: '${HOST}:1', processes: { store } })).toEqual([
      'env.HOST: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
    ])
  })

  it('no process gets the variables of control.token, not even through env of the file (O-42)', () => {
    writeFileSync(join(folder, 'token.env'), 'BASE=hunter22\nOTHER=1\n')
    const file = { env_file: 'token.env', env: { FULL: '${BASE}-x' }, control: { http: 7, token: '${FULL}' } }
    const config = load({ ...file, processes: { store } })
    expect(JSON.stringify(config)).not.toContain('hunter22')
    expect(config.processes[0]?.env).toMatchObject({ OTHER: '1' })
    expect(config.processes[0]?.env).not.toHaveProperty('FULL')
    expect(problems({ ...file, processes: { a: { ...store, args: ['${BASE}'] } } })).toEqual([
      'processes.a.args[0]: ${BASE} is reserved for the orchestrator; use a variable with another name for processes',
    ])
  })
})

describe("the children's environment (O-42)", () => {
  it('is that of the orchestrator without its own variables', () => {
    const environment = {
      PONIX_CONTROL_TOKEN: 'secret',
      NOTIFY_SOCKET: '/run/x',
      NOTIFY_FD: '3',
      WATCHDOG_USEC: '1',
      WATCHDOG_PID: '2',
      LANG: 'C',
      PATH: '/usr/bin',
    }
    expect(Object.keys(one({}, { environment }).env).sort()).toEqual(['LANG', 'PATH'])
  })

  it('PATH begins with node_modules/.bin of the configuration folder and its parents', () => {
    const nested = join(folder, 'a', 'node_modules', 'b')
    mkdirSync(nested, { recursive: true })
    const [process] = load(
      { processes: { store } },
      { path: writeConfig(join(nested, 'x.json')), environment: { PATH: '/usr/bin' } },
    ).processes
    const folders = process?.env['PATH']?.split(':') ?? []
    expect(folders.slice(0, 3)).toEqual([
      join(nested, 'node_modules/.bin'),
      join(folder, 'a/node_modules/.bin'),
      join(folder, 'node_modules/.bin'),
    ])
    expect(folders.at(-1)).toBe('/usr/bin')
  })

  it('has a default PATH if the orchestrator has none', () => {
    expect(one({}, { environment: {} }).env['PATH']).toMatch(/:\/usr\/bin:/)
  })
})

function writeConfig(path: string): string {
  writeFileSync(path, JSON.stringify({ processes: { store } }))
  return path
}

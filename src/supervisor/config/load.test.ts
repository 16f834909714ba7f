import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type LoadOptions, loadConfig } from './load.ts'
import { failure, folder, load, one, path, problems, store } from './load-rig.ts'

describe('the minimal file', () => {
  it('gets every default of the table', () => {
    const config = load({ processes: { store } })
    expect(config).toEqual({
      path,
      mqttBroker: { host: 'localhost', port: 1883, required: false, providedBy: null },
      control: { socketPath: null, http: null },
      processes: [
        {
          name: 'store',
          group: 'store',
          kind: 'service',
          command: 'my-store',
          args: [],
          shell: false,
          cwd: folder,
          env: { HOME: '/home/me', PATH: expect.stringMatching(/:\/usr\/bin$/), MQTT_BROKER: 'localhost:1883' },
          dependsOn: [],
          usesMqttBroker: false,
          readinessProbe: null,
          livenessProbe: null,
          startupTimeoutMs: 120_000,
          restart: {
            policy: 'always',
            backoffMs: 500,
            maxBackoffMs: 10_000,
            jitter: 0,
            resetAfterMs: 30_000,
            maxAttempts: Infinity,
            windowMs: null,
          },
          whenFailed: 'isolate',
          onDependencyRestart: 'ignore',
          log: { file: null, quiet: false },
          shutdown: { signal: 'SIGTERM', timeoutMs: 5000 },
        },
      ],
    })
  })

  it('takes how failures escalate as the file says', () => {
    const a = {
      ...store,
      liveness_probe: { exec: 'check', failure_threshold: 5 },
      restart: { max_attempts: 3, window_ms: 60_000 },
      when_failed: 'stop',
      on_dependency_restart: 'restart',
    }
    expect(load({ processes: { a } }).processes[0]).toMatchObject({
      livenessProbe: { check: { type: 'exec', command: ['/bin/sh', '-c', 'check'] }, failureThreshold: 5 },
      restart: { maxAttempts: 3, windowMs: 60_000 },
      whenFailed: 'stop',
      onDependencyRestart: 'restart',
    })
  })

  it('may name its schema for editors and begin with a byte order mark', () => {
    expect(load(`\uFEFF{"$schema": "x.json", "processes": {"a": {"command": "b"}}}`).processes).toHaveLength(1)
  })
})

describe('a broken file (O-20)', () => {
  it('shows the line of broken JSON with a caret', () => {
    const error = failure('{\n  "processes": {\n\t"store": {"command": "x" "args": []}\n  }\n}')
    expect(error.code).toBe('syntax')
    expect(error.message).toBe(
      [
        `${path}:3:27: expected "," or "}"`,
        '3 | \t"store": {"command": "x" "args": []}',
        `  | \t${' '.repeat(25)}^`,
      ].join('\n'),
    )
  })

  it('cuts a long line around the caret', () => {
    const error = failure(`{"a": ["${'x'.repeat(500)}" "${'y'.repeat(500)}"]}`)
    const [, line = '', caret = ''] = error.message.split('\n')
    expect(line.length).toBeLessThan(230)
    expect(line.slice(caret.indexOf('^') - 3).startsWith('x" "y')).toBe(true)
  })

  it('masks secrets in the line that it shows, and keeps the caret in place', () => {
    const error = failure('{"env": {"DB_PASSWORD": "hunter2", "PORT": "1" "X": "2"}}')
    expect(error.message).not.toContain('hunter2')
    const [, line = '', caret = ''] = error.message.split('\n')
    expect(line.slice(caret.indexOf('^'))).toMatch(/^"X"/)
    expect(failure('{"env": {"DB_PASSWORD": "hunt"er2"}}').message).not.toMatch(/hunt|er2/)
    expect(failure('{"env": {"DB_PASSWORD":\n"hunt"er2"}}').message).not.toMatch(/hunt|er2/)
    expect(failure(`{"env": {"DB_PASSWORD": 'hunter2'}}`).message).not.toContain('hunter2')
  })

  it('lists every error at once with path, line, column, value and what was expected', () => {
    const error = failure(`{
  "mqtt_broker": "localhost:99999",
  "env": {"PORT": 8080},
  "prozesses": {},
  "processes": {
    "store": {"comand": "my-store", "args": "x"},
    "http": {"command": "h", "depends_on": ["stoer"], "kind": "job", "restart": {"jitter": 2}},
    "page": {"command": "p", "shutdown": {"signal": "TERM"}},
    "last": {"command": "p"},
    "last": {"command": "p"}
  }
}`)
    expect(error.code).toBe('invalid')
    expect(error.message.replaceAll(path, 'F').split('\n')).toEqual([
      'F:2:18: mqtt_broker: expected host:port with a port from 1 to 65535, such as localhost:1883 or [::1]:1883, got "localhost:99999"',
      'F:3:19: env.PORT: expected a string; numbers too are in double quotes here, got 8080',
      'F:4:3: prozesses: unknown key; did you mean "processes"?',
      'F:6:14: processes.store.command: is missing; expected a program name or path',
      'F:6:15: processes.store.comand: unknown key; did you mean "command"?',
      'F:6:45: processes.store.args: expected a list of strings, got "x"',
      'F:7:45: processes.http.depends_on[0]: process "http" depends on "stoer", which does not exist; did you mean "store"?',
      'F:7:63: processes.http.kind: expected one of "service", "task", got "job"',
      'F:7:92: processes.http.restart.jitter: expected a number from 0 to 1, got 2',
      `F:8:53: processes.page.shutdown.signal: expected one of "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGABRT", "SIGWINCH", "SIGPWR", "SIGKILL", got "TERM"`,
      'F:10:5: processes.last: this key is there twice; remove one',
      '11 errors in F; nothing was started',
    ])
  })

  it('is one line if there is one error', () => {
    expect(failure({ processes: { store: {} } }).message).toBe(
      `${path}:3:14: processes.store.command: is missing; expected a program name or path`,
    )
  })

  it('finds unknown dependencies and unset names beside other errors', () => {
    expect(
      problems({
        nonsense: 1,
        processes: { a: { command: 'x', kind: 'x', args: ['${NOPE}'] }, b: { command: 5, depends_on: ['c'] } },
      }),
    ).toEqual([
      'nonsense: unknown key; known are $schema, mqtt_broker, env, control, processes',
      'processes.a.kind: expected one of "service", "task", got "x"',
      'processes.a.args[0]: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
      'processes.b.command: expected a program name or path, got 5',
      'processes.b.depends_on[0]: process "b" depends on "c", which does not exist',
    ])
  })

  it('does not call a name unset whose definition is what is wrong', () => {
    const args = ['${PORT}']
    expect(problems({ env: { PORT: 1 }, processes: { a: { ...store, args } } })).toHaveLength(1)
    expect(problems({ processes: { a: { ...store, args, env: { PORT: 1 } } } })).toHaveLength(1)
    expect(problems({ processes: { a: { ...store, args, env_file: 'none.env' } } })).toHaveLength(1)
  })

  it('refuses an empty file, an empty object, no processes and processes of another type', () => {
    expect(failure('').message).toContain('the file is empty')
    expect(problems('{}')).toEqual(['processes: is missing; expected an object of name → process'])
    expect(problems('{"processes": {}}')[0]).toContain('processes: is empty; expected at least one process')
    expect(problems('{"processes": []}')).toEqual([
      'processes: expected an object of name → process, got an empty list',
    ])
    expect(problems('{"processes": {"a": null}}')).toEqual([
      'processes.a: expected an object that describes a process, got null',
    ])
    expect(problems('[]')).toEqual([': expected an object with the key "processes", got an empty list'])
    expect(problems('null')).toEqual([': expected an object with the key "processes", got null'])
  })

  it('refuses names that look like integers, and other names that cannot be shown as a prefix', () => {
    for (const name of ['7', '0', 'a b', '', '#1', 'a\n']) {
      const [problem] = failure({ processes: { [name]: store } }).problems
      expect(problem?.message).toContain('is no number')
      expect(problem?.line).toBe(3)
    }
    expect(load({ processes: { '3scale': store, 'web:api': store, a_b: store, 'c.d': store } }).processes).toHaveLength(
      4,
    )
  })

  it('keeps the order of the file', () => {
    const names = ['zebra', 'b1', 'apple', 'a2', 'constructor', 'toString']
    const config = load({ processes: Object.fromEntries(names.map((name) => [name, store])) })
    expect(config.processes.map((process) => process.name)).toEqual(names)
  })

  it('refuses __proto__ as a name', () => {
    expect(
      problems('{"processes": {"__proto__": {"command": "x"}, "a": {"command": "b", "env": {"__proto__": "x"}}}}'),
    ).toEqual([
      'processes.__proto__: nothing can be called so; choose another name',
      'processes.a.env.__proto__: nothing can be called so; choose another name',
    ])
  })

  it.each([
    ['replica', 3],
    ['livenes_probe', { exec: 'true' }],
    ['toString', 1],
  ])('does not know the key %s of a process', (key, value) => {
    expect(problems({ processes: { a: { ...store, [key]: value } } })[0]).toContain(`processes.a.${key}: unknown key`)
  })

  it('refuses a liveness probe that can never fail, and a window without max_attempts', () => {
    const a = { ...store, liveness_probe: { log_line: 'up' }, restart: { window_ms: 1000 } }
    expect(problems({ processes: { a } })).toEqual([
      expect.stringMatching(/^processes\.a\.liveness_probe: takes tcp_socket, http_get or exec: /),
      expect.stringMatching(/^processes\.a\.restart\.window_ms: has no meaning without "max_attempts"/),
    ])
  })

  it('says what is wrong with the file itself', () => {
    const from = (path: string) => failure({}, { path }).message
    expect(from(join(folder, 'none.json'))).toBe(`${folder}/none.json does not exist`)
    expect(from(folder)).toBe(`${folder} is a folder, not a file`)
    writeFileSync(join(folder, 'latin.json'), Buffer.from([0x7b, 0xe4, 0x7d]))
    expect(from(join(folder, 'latin.json'))).toBe(`${folder}/latin.json is not UTF-8 text`)
  })
})

describe('secrets (O-42)', () => {
  it.each([
    { env: { API_TOKEN: 12_345_678 } },
    { env: { db: { PASSWORD: 'hunter2' } } },
    { env: 'PGPASSWORD=hunter2' },
    { args: ['--password', 12_345_678] },
    { cwd: ['hunter2'] },
    { readiness_probe: { http_get: 'postgres://me:hunter2@localhost' } },
    { readiness_probe: { tcp_socket: 'me:hunter2@localhost:99999' } },
    { kind: '--token=hunter2' },
    {
      env: { API_KEY: 'hunter2', URL: 'http://me:hunter2@x/${NOPE}', ['API_TOKEN=hunter2']: 'x' },
      args: ['--key', 'hunter2${NOPE}'],
    },
  ])('are not shown as a wrong value: %j', (process) => {
    const { message } = failure({ processes: { store: { ...store, ...process } } })
    expect(message.replaceAll('API_TOKEN=hunter2', '')).not.toMatch(/hunter2|12345678/)
  })

  it('do not hide the values of a process that is called like one', () => {
    expect(problems({ processes: { keystore: { command: 5 } } })[0]).toContain('got 5')
  })
})

describe('depends_on (O-21)', () => {
  it('in a list, the dependency decides what is waited for', () => {
    const config = load({
      processes: {
        migrate: { ...store, kind: 'task' },
        db: { ...store, readiness_probe: { tcp_socket: 'localhost:5432' } },
        log: store,
        api: { ...store, depends_on: ['migrate', 'db', 'log', 'log'] },
      },
    })
    expect(config.processes.at(-1)?.dependsOn).toEqual([
      { name: 'migrate', condition: 'completed_successfully' },
      { name: 'db', condition: 'ready' },
      { name: 'log', condition: 'started' },
    ])
  })

  it('as an object, the dependent decides', () => {
    const config = load({
      processes: {
        migrate: { ...store, kind: 'task' },
        api: { ...store, depends_on: { migrate: { condition: 'completed' } } },
      },
    })
    expect(config.processes[1]?.dependsOn).toEqual([{ name: 'migrate', condition: 'completed' }])
  })

  it('points at the wrong part of an object', () => {
    expect(
      problems({ processes: { a: store, b: { ...store, depends_on: { a: { condition: 'up' }, c: {} } } } }),
    ).toEqual([
      'processes.b.depends_on.a.condition: expected one of "started", "ready", "completed", "completed_successfully", got "up"',
      'processes.b.depends_on.c: process "b" depends on "c", which does not exist',
      'processes.b.depends_on.c.condition: is missing; expected one of "started", "ready", "completed", "completed_successfully"',
    ])
  })

  it('prints a cycle whole', () => {
    const dependsOn = (name: string) => ({ ...store, depends_on: [name] })
    expect(problems({ processes: { a: dependsOn('b'), b: dependsOn('c'), c: dependsOn('a') } })).toEqual([
      'processes.a.depends_on[0]: dependency cycle: a → b → c → a',
    ])
  })

  it('refuses to wait for the end of what never ends', () => {
    const waits = { ...store, depends_on: { a: { condition: 'completed' } } }
    expect(problems({ processes: { a: store, b: waits } })[0]).toContain('"a" is restarted whenever it ends')
    expect(load({ processes: { a: { ...store, restart: { policy: 'never' } }, b: waits } }).processes).toHaveLength(2)
  })
})

describe('processes', () => {
  it('a task is not restarted by default, and never always', () => {
    expect(one({ kind: 'task' }).restart.policy).toBe('never')
    expect(one({ kind: 'task', restart: { policy: 'on_failure' } }).restart.policy).toBe('on_failure')
    expect(problems({ processes: { a: { ...store, kind: 'task', restart: { policy: 'always' } } } })[0]).toContain(
      'processes.a.restart.policy: "always" has no place in a task',
    )
  })

  it('a shell line has no args, and its $ belong to the shell', () => {
    expect(one({ command: 'echo ${NOPE} $HOME', shell: true })).toMatchObject({
      command: 'echo ${NOPE} $HOME',
      args: [],
    })
    expect(problems({ processes: { a: { ...store, shell: true, args: ['x'] } } })[0]).toContain('has no place beside')
  })

  it('reads every form of a probe', () => {
    const check = (probe: object) => one({ readiness_probe: probe }).readinessProbe?.check
    expect(check({ tcp_socket: '[::1]:5432' })).toEqual({ type: 'tcp_socket', host: '::1', port: 5432 })
    expect(check({ http_get: 'http://127.0.0.1:9201/readyz' })).toEqual({
      type: 'http_get',
      url: 'http://127.0.0.1:9201/readyz',
    })
    expect(check({ exec: ['pg_isready', '-q'] })).toEqual({ type: 'exec', command: ['pg_isready', '-q'] })
    expect(check({ exec: 'pg_isready -q' })).toEqual({ type: 'exec', command: ['/bin/sh', '-c', 'pg_isready -q'] })
    expect(check({ log_line: 'listening on \\d+' })).toEqual({ type: 'log_line', pattern: /listening on \d+/ })
    expect(check({ notify: true })).toEqual({ type: 'notify' })
  })

  it('times a probe', () => {
    expect(one({ readiness_probe: { notify: true } }).readinessProbe).toEqual({
      check: { type: 'notify' },
      initialDelayMs: 0,
      periodMs: { beforeReady: 200, afterReady: 5000 },
      timeoutMs: 2000,
      successThreshold: 1,
      failureThreshold: 3,
    })
    expect(one({ readiness_probe: { notify: true, period_ms: 7 } }).readinessProbe?.periodMs).toEqual({
      beforeReady: 7,
      afterReady: 7,
    })
  })

  it.each([
    [{}, 'needs exactly one of'],
    [{ notify: true, tcp_socket: 'a:1' }, 'needs exactly one of'],
    [{ tcp_socket: 'localhost' }, 'expected host:port with a port'],
    [{ http_get: 'ftp://x' }, 'expected a URL that begins with http:// or https://'],
    [{ http_get: 'readyz' }, 'expected a URL that begins with'],
    [{ exec: [] }, 'readiness_probe.exec[0]: is missing; expected a program name or path'],
    [{ exec: ['a', 5] }, 'readiness_probe.exec[1]: expected a string'],
    [{ log_line: '(' }, 'expected a regular expression'],
    [{ notify: false }, 'expected true, got false'],
    [{ notify: true, period_ms: 0 }, 'expected a whole number of milliseconds from 1'],
    [
      { notify: true, timeout_ms: 1e10 },
      'expected a whole number of milliseconds from 1 to 2147483647, got 10000000000',
    ],
  ])('refuses the probe %j', (probe, expected) => {
    expect(problems({ processes: { a: { ...store, readiness_probe: probe } } })[0]).toContain(expected)
  })

  it('refuses NUL characters, which no program can be given', () => {
    expect(problems({ processes: { a: { command: 'x\0', args: ['\0'], env: { A: '\0' } } } })).toHaveLength(3)
  })
})

describe('--only, --disable and disabled (O-3, O-4, O-6)', () => {
  const file = {
    processes: { db: store, store: { ...store, depends_on: ['db'] }, extra: { ...store, disabled: true } },
  }
  const names = (options: Partial<LoadOptions>) => load(file, options).processes.map((process) => process.name)

  it('select what runs; what does not run is no dependency any more', () => {
    expect(names({})).toEqual(['db', 'store'])
    expect(names({ disable: ['db'] })).toEqual(['store'])
    expect(names({ only: ['store'] })).toEqual(['store'])
    expect(names({ only: ['extra', 'db', 'db'] })).toEqual(['db', 'extra'])
    expect(load(file, { only: ['store'] }).processes[0]?.dependsOn).toEqual([])
  })

  it.each([
    [{ only: ['stoer'] }, '--only "stoer": there is no such process; did you mean "store"?'],
    [{ disable: ['zookeeper'] }, '--disable "zookeeper": there is no such process; the processes are db, store, extra'],
    [{ only: ['db'], disable: ['db'] }, '--only and --disable both name "db"; leave one of them out'],
    [{ disable: ['db', 'store'] }, 'every process is disabled; nothing is left to run'],
    [{ exitCodeFrom: 'stor' }, '--exit-code-from "stor": there is no such process; did you mean "store"?'],
    [{ exitCodeFrom: 'extra' }, '--exit-code-from "extra": this process is not to be run'],
    [{ only: ['constructor'] }, '--only "constructor": there is no such process; the processes are db, store, extra'],
  ])('%j is refused', (options, message) => {
    const error = failure(file, options)
    expect([error.code, error.message]).toEqual(['selection', message])
  })

  it('an error in the file comes before one in the selection', () => {
    expect(failure({ processes: { a: { command: 1 } } }, { only: ['b'] }).code).toBe('invalid')
  })
})

describe('a configuration behind a symbolic link', () => {
  it('has its own folder as the folder of the file', () => {
    mkdirSync(join(folder, 'linked'), { recursive: true })
    load({ processes: { store } })
    symlinkSync(path, join(folder, 'linked', 'c.json'))
    const config = loadConfig({
      path: join(folder, 'linked', 'c.json'),
      only: [],
      disable: [],
      exitCodeFrom: null,
      mqttBroker: null,
      environment: {},
    })
    expect(config.processes[0]?.cwd).toBe(join(folder, 'linked'))
  })
})

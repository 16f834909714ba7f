import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from './load.ts'
import { plainOptions } from '../../../test/rig/configuration/load-options.ts'
import { folder, load, one, path, problems, store } from '../../../test/rig/configuration/config.ts'

describe('the minimal file', () => {
  it('gets every default', () => {
    const { variables: _, newProblems: __, warnings: ___, ...config } = load({ processes: { store } })
    expect(config).toEqual({
      path,
      files: [path],
      external: null,
      control: { socketPath: null, http: null },
      processes: [
        {
          name: 'store',
          configName: 'store',
          kind: 'service',
          successExitCodes: [0],
          command: 'my-store',
          args: [],
          shell: false,
          tty: false,
          cwd: folder,
          env: { HOME: '/home/me', PATH: expect.stringMatching(/:\/usr\/bin$/) },
          dependsOn: [],
          usesExternal: false,
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
            startupAttempts: Infinity,
            windowMs: null,
          },
          whenFailed: 'isolate',
          onDependencyRestart: 'ignore',
          watch: null,
          schedule: null,
          onFailed: null,
          secretNames: [],
          memoryLimit: null,
          log: { file: null, quiet: false },
          shutdown: { signal: 'SIGTERM', timeoutMs: 5000 },
          profiles: [],
          leftOut: null,
          problem: null,
        },
      ],
    })
  })

  it('reads how failures escalate', () => {
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

  it('can name its schema for editors and begin with a byte order mark', () => {
    expect(load(`\uFEFF{"$schema": "x.json", "processes": {"a": {"command": "b"}}}`).processes).toHaveLength(1)
  })
})

describe('depends_on (O-21)', () => {
  it('as a list has the conditions that follow from the kind and the probe of each dependency', () => {
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

  it('as an object has the conditions that it states', () => {
    const config = load({
      processes: {
        migrate: { ...store, kind: 'task' },
        api: { ...store, depends_on: { migrate: { condition: 'completed' } } },
      },
    })
    expect(config.processes[1]?.dependsOn).toEqual([{ name: 'migrate', condition: 'completed' }])
  })

  it('an object is reported with the key that is invalid', () => {
    expect(
      problems({ processes: { a: store, b: { ...store, depends_on: { a: { condition: 'up' }, c: {} } } } }),
    ).toEqual([
      'processes.b.depends_on.a.condition: expected one of "started", "ready", "completed", "completed_successfully", got "up"',
      'processes.b.depends_on.c: process "b" depends on "c", which does not exist',
      'processes.b.depends_on.c.condition: is missing; expected one of "started", "ready", "completed", "completed_successfully"',
    ])
  })

  it('is reported with a complete cycle', () => {
    const dependsOn = (name: string) => ({ ...store, depends_on: [name] })
    expect(problems({ processes: { a: dependsOn('b'), b: dependsOn('c'), c: dependsOn('a') } })).toEqual([
      'processes.a.depends_on[0]: dependency cycle: a → b → c → a',
    ])
  })

  it('is rejected if it waits for the end of a process that always restarts', () => {
    const waits = { ...store, depends_on: { a: { condition: 'completed' } } }
    expect(problems({ processes: { a: store, b: waits } })[0]).toContain('"a" always restarts')
    expect(load({ processes: { a: { ...store, restart: { policy: 'never' } }, b: waits } }).processes).toHaveLength(2)
  })
})

describe('processes', () => {
  it('do not restart by default if they are tasks, and tasks cannot restart always', () => {
    expect(one({ kind: 'task' }).restart.policy).toBe('never')
    expect(one({ kind: 'task', restart: { policy: 'on_failure' } }).restart.policy).toBe('on_failure')
    expect(problems({ processes: { a: { ...store, kind: 'task', restart: { policy: 'always' } } } })[0]).toContain(
      'processes.a.restart.policy: "always" is not possible for a task',
    )
  })

  it('have no args and are not interpolated if they are a shell line', () => {
    expect(one({ command: 'echo ${NOPE} $HOME', shell: true })).toMatchObject({
      command: 'echo ${NOPE} $HOME',
      args: [],
    })
    expect(problems({ processes: { a: { ...store, shell: true, args: ['x'] } } })[0]).toContain(
      'cannot be combined with',
    )
  })

  it('have a terminal if they ask for it, but then no notify probe', () => {
    expect(one({}).tty).toBe(false)
    expect(one({ tty: true }).tty).toBe(true)
    const notified = { ...store, tty: true, readiness_probe: { notify: true } }
    expect(problems({ processes: { a: notified } })[0]).toMatch(
      /^processes\.a\.readiness_probe\.notify: cannot be combined with "tty": true/,
    )
  })

  it('have a probe in one of the forms', () => {
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

  it('have probes with the given timing', () => {
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
    [
      { http_get: 'http://127.0.0.1:${PORT_NAME:-abc}/healthz' },
      'expected a URL with a port of 0 to 65535, got "http://127.0.0.1:abc/healthz"',
    ],
    [{ exec: [] }, 'readiness_probe.exec[0]: is missing; expected a program name or path'],
    [{ exec: ['a', 5] }, 'readiness_probe.exec[1]: expected a string'],
    [{ log_line: '(' }, 'expected a regular expression'],
    [{ notify: false }, 'expected true, got false'],
    [{ notify: true, period_ms: 0 }, 'expected a whole number of milliseconds from 1'],
    [
      { notify: true, timeout_ms: 1e10 },
      'expected a whole number of milliseconds from 1 to 2147483647, got 10000000000',
    ],
  ])('are rejected with the invalid probe %j', (probe, expected) => {
    expect(problems({ processes: { a: { ...store, readiness_probe: probe } } })[0]).toContain(expected)
  })

  it('are rejected with NUL characters', () => {
    expect(problems({ processes: { a: { command: 'x\0', args: ['\0'], env: { A: '\0' } } } })).toHaveLength(3)
  })
})

describe('a configuration behind a symbolic link', () => {
  it('uses the folder of the link', () => {
    mkdirSync(join(folder, 'linked'), { recursive: true })
    load({ processes: { store } })
    symlinkSync(path, join(folder, 'linked', 'c.json'))
    const config = loadConfig({ ...plainOptions, path: join(folder, 'linked', 'c.json'), environment: {} })
    expect(config.processes[0]?.cwd).toBe(join(folder, 'linked'))
  })
})

import { describe, expect, it } from 'vitest'
import { problems, store } from '../../../../test/rig/configuration/config.ts'

/** Returns the correction in the only problem of a process. */
function hintFor(process: object): string | undefined {
  const [problem = '', ...others] = problems({ processes: { web: { ...store, ...process } } })
  expect(others).toEqual([])
  return /^[^;]*; (.*)$/.exec(problem)?.[1]
}

describe('the correction of a value in the form of another tool (O-20)', () => {
  it.each([
    [{ restart: 'always' }, 'write {"policy": "always"}'],
    [{ restart: 'unless-stopped' }, 'write {"policy": "always"}'],
    [{ restart: 'on-failure' }, 'write {"policy": "on_failure"}'],
    [{ restart: 'on-failure:3' }, 'write {"policy": "on_failure", "max_attempts": 3}'],
    [{ restart: 'no' }, 'write {"policy": "never"}'],
    [{ restart: false }, 'write {"policy": "never"}'],
    [{ restart: { policy: 'on-failure' } }, 'did you mean "on_failure"?'],
    [{ shutdown: { signal: 'TERM' } }, 'did you mean "SIGTERM"?'],
    [{ shutdown: { signal: 'sigint' } }, 'did you mean "SIGINT"?'],
    [{ shutdown: { signal: 15 } }, 'did you mean "SIGTERM"?'],
    [{ shutdown: 'SIGINT' }, 'write {"signal": "SIGINT"}'],
    [{ shutdown: { timeout_ms: '5s' } }, 'write 5000'],
    [{ startup_timeout_ms: '1m30s' }, 'write 90000'],
    [{ replicas: '3' }, 'write 3, without quotes'],
    [{ disabled: 'true' }, 'write true, without quotes'],
    [{ kind: 'oneshot' }, 'did you mean "task"?'],
    [{ kind: 'Service' }, 'did you mean "service"?'],
    [{ args: '--port 3' }, 'write each argument as an element, such as ["-p", "80"]'],
    [{ command: ['node', 'web.js'] }, 'write the program as "command" and the rest as "args"'],
    [{ env: ['A=1'] }, 'write {"NAME": "value"}'],
    [{ depends_on: 'web' }, 'write ["web"]'],
    [{ log: 'web.log' }, 'write {"file": "…"}'],
    [{ readiness_probe: 8080 }, 'write {"tcp_socket": "127.0.0.1:8080"}'],
    [{ readiness_probe: 'localhost:8080' }, 'write {"tcp_socket": "host:port"}'],
    [{ readiness_probe: 'http://localhost' }, 'write {"http_get": "http://…"}'],
    [{ liveness_probe: 'pg_isready -q' }, 'write {"exec": "…"} for a command'],
    [{ readiness_probe: { tcp_socket: { port: 80 } } }, 'write "127.0.0.1:80"'],
    [{ readiness_probe: { http_get: { path: '/', port: 80 } } }, 'write "http://127.0.0.1:80/…"'],
    [{ readiness_probe: { http_get: 'localhost:80/' } }, 'add http:// in front'],
    [{ readiness_probe: { exec: { command: ['x'] } } }, 'write the command itself, such as ["pg_isready", "-q"]'],
  ])('%j is %j', (process, hint) => {
    expect(hintFor(process)).toBe(hint)
  })

  it.each([
    ['service_healthy', 'ready'],
    ['service_started', 'started'],
    ['service_completed_successfully', 'completed_successfully'],
    ['process_completed', 'completed'],
  ])('translates the condition %s to %s', (foreign, ours) => {
    const expected = (dependency: unknown) =>
      problems({ processes: { db: store, web: { ...store, depends_on: { db: dependency } } } })[0]
    expect(expected({ condition: foreign })).toContain(`; did you mean "${ours}"?`)
    expect(expected(foreign)).toContain(`; write {"condition": "${ours}"}`)
  })

  it('says how to inherit a variable, and how to write a process', () => {
    expect(problems({ processes: { web: { ...store, env: { HOME: null } } } })[0]).toContain(
      '; to inherit the variable, remove',
    )
    expect(problems({ processes: { web: 'node web.js' } })[0]).toContain('; write {"command": "…", "shell": true}')
  })

  it('does not contain a secret', () => {
    for (const value of [{ args: ['--token', 12_345_678] }, { env: { API_KEY: 12_345_678 } }]) {
      expect(problems({ processes: { web: { ...store, ...value } } }).join('\n')).not.toContain('12345678')
    }
  })
})

describe('the correction of a key of another tool (O-20)', () => {
  it.each([
    [{ environment: {} }, 'did you mean "env"?'],
    [{ healthcheck: {} }, 'did you mean "readiness_probe"?'],
    [{ working_dir: '.' }, 'did you mean "cwd"?'],
    [{ workingDirectory: '.' }, 'did you mean "cwd"?'],
    [{ cmd: 'x' }, 'did you mean "command"?'],
    [{ script: 'x' }, 'did you mean "command"?'],
    [{ interpreter: 'node' }, 'write "command": "node", "args": ["web.js"]'],
    [{ autorestart: true }, 'write "restart": {"policy": "always"}'],
    [{ max_restarts: 3 }, 'write "restart": {"max_attempts": 5}'],
    [{ instances: 3 }, 'did you mean "replicas"?'],
    [{ stop_signal: 'TERM' }, 'write "shutdown": {"signal": "SIGINT"}'],
    [{ stop_grace_period: '5s' }, 'write "shutdown": {"timeout_ms": 10000}'],
    [{ image: 'x' }, 'containers are not started; write the program as "command"'],
    [{ readiness_probe: { tcpSocket: {}, exec: 'x' } }, 'write "tcp_socket": "127.0.0.1:8080"'],
    [{ readiness_probe: { exec: 'x', interval: '5s' } }, 'did you mean "period_ms"?'],
    [{ readiness_probe: { exec: 'x', initialDelaySeconds: 5 } }, 'did you mean "initial_delay_ms"?'],
    [{ restart: { max_restarts: 5 } }, 'did you mean "max_attempts"?'],
  ])('%j is %j', (process, hint) => {
    expect(hintFor(process)).toBe(hint)
  })

  it('names the key of the file for services', () => {
    expect(problems({ services: {}, processes: { store } })).toEqual([
      'services: unknown key; did you mean "processes"?',
    ])
  })
})

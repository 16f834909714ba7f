import { describe, expect, it } from 'vitest'
import type { SupervisorEvent } from '../../supervisor/events.ts'
import { describeEvent } from './event-message.ts'

const store = { process: 'store' } as const

describe('describeEvent (O-32)', () => {
  it.each<[SupervisorEvent, string, string]>([
    [{ type: 'process_started', ...store, pid: 42, attempt: 0, again: false }, 'info', 'store: started (pid 42)'],
    [{ type: 'process_started', ...store, pid: 43, attempt: 0, again: true }, 'info', 'store: started again (pid 43)'],
    [{ type: 'process_ready', ...store, afterMs: 230, wasUnhealthy: false }, 'info', 'store: ready after 230 ms'],
    [{ type: 'process_ready', ...store, afterMs: 14_000, wasUnhealthy: true }, 'info', 'store: ready again after 14 s'],
    [
      { type: 'process_unhealthy', ...store, reason: 'connection refused' },
      'warn',
      'store: no longer ready: connection refused',
    ],
    [
      { type: 'liveness_failed', ...store, reason: 'answered 503', failures: 3, restarts: true },
      'warn',
      'store: liveness probe failed 3 times in a row: answered 503; stopping the process to restart it',
    ],
    [
      { type: 'liveness_failed', ...store, reason: 'answered 503', failures: 1, restarts: false },
      'warn',
      'store: liveness probe failed: answered 503; stopping the process',
    ],
    [
      { type: 'port_occupied', ...store, port: 8080, owner: 'pid 4711 (node)' },
      'warn',
      'store: port 8080 was already in use before it started, by pid 4711 (node), so the readiness probe does not count; stop that process or choose another port',
    ],
    [
      { type: 'log_file_failed', ...store, path: '/l/a.log', reason: 'no space left on device (ENOSPC)' },
      'warn',
      'store: cannot write to log file /l/a.log: no space left on device (ENOSPC); retrying every second',
    ],
    [
      { type: 'log_file_closed', ...store, path: '/l/a.log', lostLines: 3 },
      'warn',
      'store: log file /l/a.log is closed; 3 lines were lost',
    ],
    [
      { type: 'log_file_resumed', ...store, path: '/l/a.log', lostLines: 3 },
      'warn',
      'store: writing to log file /l/a.log again; 3 lines were lost',
    ],
    [
      {
        type: 'process_exited',
        ...store,
        exit: { code: 0, signal: null },
        succeeded: true,
        completes: false,
        uptimeMs: 5,
      },
      'info',
      'store: exited with code 0 after 5 ms',
    ],
    [
      {
        type: 'process_exited',
        ...store,
        exit: { code: 3, signal: null },
        succeeded: false,
        completes: false,
        uptimeMs: 61_000,
      },
      'warn',
      'store: exited with code 3 after 1 min 1 s',
    ],
    [
      {
        type: 'process_exited',
        ...store,
        exit: { code: null, signal: 'SIGSEGV' },
        succeeded: false,
        completes: false,
        uptimeMs: 1500,
      },
      'warn',
      'store: was ended by SIGSEGV after 1.5 s',
    ],
    [
      { type: 'restart_scheduled', ...store, attempt: 2, maxAttempts: Infinity, waitMs: 1000 },
      'warn',
      'store: restarts in 1 s (attempt 2)',
    ],
    [
      { type: 'restart_scheduled', ...store, attempt: 2, maxAttempts: 3, waitMs: 0 },
      'warn',
      'store: restarts now (attempt 2 of 3)',
    ],
    [
      { type: 'spawn_failed', ...store, message: '"my-store" was not found' },
      'error',
      'store: could not be started: "my-store" was not found',
    ],
    [
      { type: 'process_failed', ...store, reason: 'it broke', lastLines: [] },
      'error',
      'store: failed permanently: it broke',
    ],
    [
      { type: 'process_completed', ...store, exit: { code: 0, signal: null }, afterMs: 12 },
      'info',
      'store: completed after 12 ms',
    ],
    [
      { type: 'process_completed', ...store, exit: { code: null, signal: 'SIGTERM' }, afterMs: 12 },
      'info',
      'store: completed after 12 ms (was ended by SIGTERM)',
    ],
    [{ type: 'process_skipped', ...store, because: '"db" failed' }, 'warn', 'store: skipped because "db" failed'],
    [{ type: 'process_stopping', ...store, signal: 'SIGTERM' }, 'info', 'store: stopping (SIGTERM)'],
    [{ type: 'process_killed', ...store, afterMs: 5000 }, 'warn', 'store: did not stop within 5 s; sent SIGKILL'],
    [{ type: 'process_stopped', ...store, tookMs: 7 }, 'info', 'store: stopped after 7 ms'],
    [
      { type: 'descendants_killed', ...store, pids: [7], commands: ['sleep 9'] },
      'warn',
      'store: stopping its orphaned process 7 (sleep 9)',
    ],
    [
      { type: 'descendants_killed', ...store, pids: [7, 8], commands: ['', 'sleep 9'] },
      'warn',
      'store: stopping its orphaned processes 7, 8 (sleep 9)',
    ],
    [
      { type: 'processes_left', ...store, pids: [7], commands: ['sleep 9'] },
      'warn',
      'store: exited with code 0 but left 1 process running (7 sleep 9), which is stopped; if it goes to the background by ' +
        'itself, let it run in the foreground (for example "nginx -g \'daemon off;\'") or set "kind": "task"',
    ],
    [
      { type: 'processes_left', ...store, pids: [6, 7, 8, 9], commands: ['a', '', 'c', 'd'] },
      'warn',
      'store: exited with code 0 but left 4 processes running (6 a, 7, 8 c and 1 more), which are stopped; if it goes to ' +
        'the background by itself, let it run in the foreground (for example "nginx -g \'daemon off;\'") or set "kind": "task"',
    ],
    [
      { type: 'process_survived', ...store, pids: [7, 8] },
      'error',
      'store: cannot kill its orphaned processes 7, 8; stop them by hand',
    ],
    [
      { type: 'waiting', cause: 'db', text: 'waiting for db: starting', waiters: [] },
      'info',
      'waiting for db: starting',
    ],
    [
      { type: 'waiting', cause: 'db', text: 'waiting for db: starting', waiters: ['api'] },
      'info',
      'waiting for db: starting; api waits for it',
    ],
    [
      { type: 'waiting', cause: 'db', text: 'waiting for db: starting', waiters: ['api', 'web'] },
      'info',
      'waiting for db: starting; api and web wait for it',
    ],
    [
      { type: 'waiting', cause: 'db', text: 'waiting for db: starting', waiters: ['api', 'web', 'job', 'mail'] },
      'info',
      'waiting for db: starting; api, web and 2 more wait for it',
    ],
    [
      { type: 'mqtt_broker_unreachable', address: '[::1]:1884', reason: 'connection refused' },
      'error',
      'the MQTT broker at [::1]:1884 cannot be reached: connection refused; start one, for example with "mosquitto -p 1884", or set its address with --mqtt-broker',
    ],
    [
      { type: 'output_closed', stream: 'stdout', reason: 'EPIPE' },
      'warn',
      'cannot write to stdout (EPIPE); discarding its lines',
    ],
    [
      { type: 'start_incomplete', afterMs: 3100, count: 11, failed: ['crasher'], skipped: ['a', 'b'] },
      'warn',
      '8 of 11 processes are ready after 3.1 s; failed: crasher; skipped: a, b',
    ],
    [{ type: 'all_ready', afterMs: 3100, count: 7 }, 'info', 'all 7 processes are ready after 3.1 s'],
    [
      { type: 'control_listening', url: 'http://[::1]:7/', needsToken: true },
      'info',
      'control API at http://[::1]:7/ (token required)',
    ],
    [{ type: 'all_ready', afterMs: 3100, count: 2 }, 'info', 'both processes are ready after 3.1 s'],
    [{ type: 'all_ready', afterMs: 3100, count: 1 }, 'info', 'the process is ready after 3.1 s'],
    [
      { type: 'process_failed', ...store, reason: 'exited with code 1', nextRun: '2030-01-02T03:04:05', lastLines: [] },
      'error',
      'store: run failed: exited with code 1; next run at 2030-01-02 03:04:05',
    ],
    [
      { type: 'process_failed', ...store, reason: 'exited with code 1', nextRun: null, lastLines: [] },
      'error',
      'store: run failed: exited with code 1',
    ],
    [
      { type: 'process_failed', ...store, reason: 'not found', isReported: true, lastLines: [] },
      'error',
      'store: failed permanently',
    ],
    [
      { type: 'restart_loop', ...store, exits: 5, reason: 'exited with code 1', uptimeMs: 80, everyMs: 10_000 },
      'warn',
      'store: has ended 5 times in a row, last: exited with code 1 after 80 ms; it keeps restarting every 10 s; see restart.max_attempts',
    ],
    [{ type: 'restart_scheduled', ...store, attempt: 0, maxAttempts: 3, waitMs: 0 }, 'warn', 'store: restarts now'],
    [{ type: 'process_stopped', ...store, tookMs: 5, wasKilled: true }, 'info', 'store: killed'],
    [{ type: 'killing', trigger: 'SIGINT' }, 'warn', 'killing everything: second SIGINT'],
    [{ type: 'stopping', reason: { type: 'asked' } }, 'info', 'stopping everything: requested by "down"'],
    [
      { type: 'stopping', reason: { type: 'key', key: 'q' } },
      'info',
      'stopping everything: q (a second one kills immediately)',
    ],
    [
      { type: 'stopping', reason: { type: 'signal', signal: 'SIGHUP' } },
      'info',
      'stopping everything: the terminal was closed',
    ],
    [
      { type: 'stopping', reason: { type: 'signal', signal: 'SIGINT' } },
      'info',
      'stopping everything: SIGINT (a second one kills immediately)',
    ],
    [
      { type: 'stopping', reason: { type: 'start_failed', process: 'db', cause: 'spawn', message: 'was not found' } },
      'error',
      'stopping everything: "db" could not be started',
    ],
    [
      {
        type: 'stopping',
        reason: { type: 'start_failed', process: 'db', cause: 'run', message: 'exited with code 1' },
      },
      'error',
      'stopping everything: "db" failed',
    ],
    [
      { type: 'stopping', reason: { type: 'process_failed', process: 'db', reason: 'exited with code 1' } },
      'error',
      'stopping everything: "db" failed permanently',
    ],
    [
      { type: 'stopping', reason: { type: 'exited', process: 'db', exit: { code: 3, signal: null } } },
      'info',
      'stopping everything: db exited with code 3',
    ],
    [
      { type: 'stopping', reason: { type: 'mqtt_broker_unreachable', address: 'a:1', reason: 'x' } },
      'info',
      'stopping everything: the MQTT broker cannot be reached',
    ],
    [{ type: 'stopped', tookMs: 40 }, 'info', 'everything is stopped after 40 ms'],
    [
      { type: 'stopped', tookMs: 40, startFailure: { process: 'migrate', reason: 'exited with code 3' } },
      'error',
      'everything is stopped after 40 ms; the start failed: migrate: exited with code 3',
    ],
  ])('formats %j', (event, level, text) => {
    expect(describeEvent(event)).toEqual({ level, text })
  })

  it('announces the last output of a failed process (O-36)', () => {
    const event = {
      type: 'process_failed',
      ...store,
      reason: 'not ready within 2 s',
      lastLines: ['one', 'two'],
    } as const
    expect(describeEvent(event)).toEqual({
      level: 'error',
      text: 'store: failed permanently: not ready within 2 s; its last output:',
    })
  })
})

import { statSync } from 'node:fs'
import { request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { runFolder } from '../../supervisor/guard/run-folder.ts'
import { controlCommands, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { freePort } from '../../../../test/rig/servers.ts'

const control = controlCommands()
const { start, status } = control

describe('the command status (O-9, O-41)', () => {
  test('--json prints the state and the usage of every process', async () => {
    await start({ web: { ...sleeper, depends_on: ['job'] }, job: { kind: 'task', command: 'true' } })
    const { web, job } = await status()
    expect(web).toEqual({
      name: 'web',
      kind: 'service',
      state: 'running',
      reason: null,
      detail: null,
      next_run: null,
      last_success: null,
      log_file: null,
      left_pids: [],
      pid: expect.any(Number),
      ready: true,
      restarts: 0,
      exit_code: null,
      signal: null,
      uptime_ms: expect.any(Number),
      cpu_percent: expect.toSatisfy((percent: unknown) => percent === null || Number(percent) < 50),
      memory_bytes: expect.toSatisfy((bytes: number) => bytes > 100_000 && bytes < 100_000_000),
      depends_on: ['job'],
    })
    expect(job).toMatchObject({ state: 'completed', ready: true, pid: null, exit_code: 0, memory_bytes: null })
  })

  test('counts CPU time and memory of the whole process group', async () => {
    await start({ busy: { command: 'while :; do :; done & exec sleep 600', shell: true } })
    await expect.poll(async () => (await status())['busy']?.cpu_percent, { timeout: 15_000 }).toBeGreaterThan(5)
  })

  test('prints a table', async () => {
    await start({ store: sleeper, failing: { command: 'exit 3', shell: true, restart: { backoff_ms: 60_000 } } })
    const { stdout } = await control.program.run('status')
    expect(stdout).toMatch(/^NAME {5,}STATE +PID +UP +RESTARTS +CPU +MEMORY +DETAIL\n/)
    expect(stdout).toMatch(/^store +running +\d+ +\S+ (ms|s) +0 +\S+.* MB$/m)
    expect(stdout).toMatch(/^failing +backoff .* restarts in \d+ s \(attempt 1\): exited with code 3$/m)
  })

  test('shows what a process waits for, as the log does after a second (O-46)', async () => {
    const port = await freePort()
    const running = control.begin({
      db: { ...sleeper, readiness_probe: { tcp_socket: `127.0.0.1:${port}` } },
      api: { ...sleeper, depends_on: ['db'] },
    })
    const answer = String.raw`tcp_socket 127\.0\.0\.1:${port}: connection refused \(\d+ attempts\)`
    await running.seen(new RegExp(`waiting for db: not ready, ${answer}; api waits for it`))
    const { stdout } = await control.program.run('status')
    expect(stdout).toMatch(new RegExp(`^db +running .* readiness probe ${answer}$`, 'm'))
    expect(stdout).toMatch(new RegExp(`^api +waiting .* waiting for db: not ready, ${answer}$`, 'm'))
    expect((await status())['api']?.detail).toMatch(new RegExp(`^waiting for db: not ready, ${answer}$`))
  })

  test('prints one line and exits with 3, as every command does, if no orchestrator is running', async () => {
    control.program.writeConfig({ processes: { a: sleeper } })
    for (const args of [['status'], ['logs'], ['stop', 'a'], ['reload'], ['down']]) {
      expect(await control.program.run(...args)).toEqual({
        code: 3,
        stdout: '',
        stderr: 'ponix-orchestrator: no orchestrator runs commonplace.json; start one with: ponix-orchestrator\n',
      })
    }
  })

  test('reports a missing file', async () => {
    const { code, stderr } = await control.program.run('status', '--config', 'nowhere.json')
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'ponix-orchestrator: nowhere.json does not exist; name an existing file with --config\n',
    })
  })
})

describe('the socket', () => {
  const socketPath = () =>
    runFolder(`${control.program.folder}/commonplace.json`, { XDG_RUNTIME_DIR: control.program.folder }).socketPath

  async function ask(method: string, path: string, body = ''): Promise<{ status: number | undefined; body: string }> {
    return new Promise((resolve) => {
      const headers = { 'content-length': Buffer.byteLength(body) }
      request({ socketPath: socketPath(), method, path, headers }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.once('end', () => resolve({ status: response.statusCode, body: text }))
      }).end(body)
    })
  }

  test('can be opened only by this user', async () => {
    await start({ a: sleeper })
    await status()
    expect(statSync(socketPath()).mode & 0o777).toBe(0o600)
  })

  test('serves the status as Prometheus metrics (O-41)', async () => {
    await start({ a: sleeper })
    await status()
    const { body } = await ask('GET', '/metrics')
    expect(body).toContain('# TYPE ponix_process_restarts_total counter\nponix_process_restarts_total{process="a"} 0\n')
    expect(body).toContain('ponix_process_ready{process="a"} 1\n')
    expect(body).toContain('ponix_process_state{process="a",state="running"} 1\n')
    expect(body).toMatch(/ponix_process_memory_bytes\{process="a"\} \d+\n/)
  })

  test('shows a log file that cannot be written in status and metrics until it can', async () => {
    const { program } = control
    program.link('full.log', '/dev/full')
    const noisy = { command: 'while :; do echo x; sleep 0.05; done', shell: true, log: { file: 'full.log' } }
    const running = await start({ noisy })
    await running.seen(/cannot write to log file/)
    const failing = { error: 'no space left on device (ENOSPC)', lost_lines: 0 }
    const reason = 'cannot write to its log file: no space left on device (ENOSPC), 0 lines lost'
    expect((await status())['noisy']).toMatchObject({ log_file: failing, detail: reason })
    expect((await program.run('status')).stdout).toContain(reason)
    const { body } = await ask('GET', '/metrics')
    expect(body).toMatch(/^ponix_process_log_file_errors_total\{process="noisy"\} [1-9]\d*$/m)
    expect(body).toMatch(/^ponix_process_log_file_lost_lines_total\{process="noisy"\} 0$/m)
    program.remove('full.log')
    await running.seen(/writing to log file \S+ again; no lines were lost/)
    expect((await status())['noisy']).toMatchObject({ log_file: { error: null }, detail: null })
  })

  test('answers an invalid request with one line that states the expected request', async () => {
    await start({ a: sleeper })
    await status()
    const form = 'expected a body like {\\"processes\\": [\\"name\\"]}'
    expect(await ask('POST', '/stop', 'nonsense')).toEqual({ status: 400, body: `{"error":"${form}"}\n` })
    expect(await ask('POST', '/stop', '{"processes": []}')).toMatchObject({ status: 400 })
    expect(await ask('POST', '/stop', `{"processes": ["${'a'.repeat(70_000)}"]}`)).toMatchObject({ status: 413 })
    expect(await ask('POST', '/status')).toEqual({
      status: 405,
      body: '{"error":"wrong method for /status; expected GET /status"}\n',
    })
    expect(await ask('GET', '/nothing')).toMatchObject({ status: 404 })
    expect(await ask('GET', '/logs?tail=-1')).toMatchObject({ status: 400 })
    expect(await ask('GET', '/logs?tial=5')).toEqual({
      status: 400,
      body: '{"error":"unknown parameter \\"tial\\"; did you mean \\"tail\\"?"}\n',
    })
    expect(await ask('GET', '/status?follow=yes')).toMatchObject({ status: 400 })
    expect(await ask('POST', '/down?now=1')).toMatchObject({ status: 400 })
    expect((await status())['a']).toMatchObject({ state: 'running' })
  })
})

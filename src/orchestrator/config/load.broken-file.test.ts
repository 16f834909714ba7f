import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { failure, folder, load, path, problems, store } from '../../../test/rig/configuration/config.ts'

describe('the report of a broken file (O-20)', () => {
  it('shows the line of broken JSON with a caret', () => {
    const error = failure('{\n  "processes": {\n\t"store": {"command": "x" "args": []}\n  }\n}')
    expect(error.message).toBe(
      [
        `${path}:3:27: expected "," or "}"; add a comma after the preceding entry`,
        '3 | \t"store": {"command": "x" "args": []}',
        `  | \t${' '.repeat(25)}^`,
      ].join('\n'),
    )
  })

  it('truncates a long line around the caret', () => {
    const error = failure(`{"a": ["${'x'.repeat(500)}" "${'y'.repeat(500)}"]}`)
    const [, line = '', caret = ''] = error.message.split('\n')
    expect(line.length).toBeLessThan(230)
    expect(line.slice(caret.indexOf('^') - 3).startsWith('x" "y')).toBe(true)
  })

  it('masks secrets in the shown line and keeps the caret in place', () => {
    const error = failure('{"env": {"DB_PASSWORD": "hunter2", "PORT": "1" "X": "2"}}')
    expect(error.message).not.toContain('hunter2')
    const [, line = '', caret = ''] = error.message.split('\n')
    expect(line.slice(caret.indexOf('^'))).toMatch(/^"X"/)
    expect(failure('{"env": {"DB_PASSWORD": "hunt"er2"}}').message).not.toMatch(/hunt|er2/)
    expect(failure('{"env": {"DB_PASSWORD":\n"hunt"er2"}}').message).not.toMatch(/hunt|er2/)
    expect(failure(`{"env": {"DB_PASSWORD": 'hunter2'}}`).message).not.toContain('hunter2')
  })

  it('lists every error with path, line, column, value and expectation', () => {
    const error = failure(`{
  "mqtt_broker": "localhost:99999",
  "control": {"http": 0},
  "prozesses": {},
  "processes": {
    "store": {"comand": "my-store", "args": "x"},
    "http": {"command": "h", "depends_on": ["stoer"], "kind": "job", "restart": {"jitter": 2}},
    "page": {"command": "p", "shutdown": {"signal": "TERM"}, "env": {"PORT": 8080}},
    "loop": {"command": "p", "depends_on": ["page", "loop"], "args": ["\${NOPE}", "\${"]},
    "last": {"command": "p"},
    "last": {"command": "p"}
  }
}`)
    expect(error.message.replaceAll(path, 'F').split('\n')).toEqual([
      'F:2:18: mqtt_broker: expected host:port with a port from 1 to 65535, such as localhost:1883 or [::1]:1883, got "localhost:99999"',
      'F:3:23: control.http: expected a port from 1 to 65535, got 0',
      'F:4:3: prozesses: unknown key; did you mean "processes"?',
      'F:6:14: processes.store.command: is missing; expected a program name or path',
      'F:6:15: processes.store.comand: unknown key; did you mean "command"?',
      'F:6:45: processes.store.args: expected a list of strings, got "x"; write each argument as an element, such as ["-p", "80"]',
      'F:7:45: processes.http.depends_on[0]: process "http" depends on "stoer", which does not exist; did you mean "store"?',
      'F:7:63: processes.http.kind: expected one of "service", "task", got "job"; did you mean "task"?',
      'F:7:92: processes.http.restart.jitter: expected a number from 0 to 1, got 2',
      `F:8:53: processes.page.shutdown.signal: expected one of "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGABRT", "SIGWINCH", "SIGPWR", "SIGKILL", got "TERM"; did you mean "SIGTERM"?`,
      'F:8:78: processes.page.env.PORT: expected a string, got 8080; put the value in double quotes',
      'F:9:53: processes.loop.depends_on[1]: process "loop" depends on itself',
      'F:9:71: processes.loop.args[0]: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
      'F:9:82: processes.loop.args[1]: invalid "${": expected ${NAME} or ${NAME:-default}; write $${ for a literal ${',
      'F:11:5: processes.last: duplicate key; remove one of them',
      '15 errors in F',
    ])
  })

  it('prints a single error on one line', () => {
    expect(failure({ processes: { store: {} } }).message).toBe(
      `${path}:3:14: processes.store.command: is missing; expected a program name or path`,
    )
  })

  it('finds unknown dependencies and unset variables besides other errors', () => {
    expect(
      problems({
        nonsense: 1,
        processes: { a: { command: 'x', kind: 'x', args: ['${NOPE}'] }, b: { command: 5, depends_on: ['c'] } },
      }),
    ).toEqual([
      'nonsense: unknown key; expected $schema, extends, env, env_file, secret_names, control, on_failed, processes, mqtt_broker',
      'processes.a.kind: expected one of "service", "task", got "x"',
      'processes.a.args[0]: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
      'processes.b.command: expected a program name or path, got 5',
      'processes.b.depends_on[0]: process "b" depends on "c", which does not exist',
    ])
  })

  it('does not report a variable with an invalid definition as unset', () => {
    const args = ['${PORT}']
    expect(problems({ env: { PORT: 1 }, processes: { a: { ...store, args } } })).toHaveLength(1)
    expect(problems({ processes: { a: { ...store, args, env: { PORT: 1 } } } })).toHaveLength(1)
  })

  it('rejects an empty file, an empty object, no processes and processes of another type', () => {
    expect(failure('').message).toContain('the file is empty')
    expect(problems('{}')).toEqual(['processes: is missing; expected an object of name → process'])
    expect(problems('{"processes": {}}')[0]).toContain('processes: is empty; expected at least one process')
    expect(problems('{"processes": []}')).toEqual([
      'processes: expected an object of name → process, got an empty list; write {"NAME": {"command": "…"}}',
    ])
    expect(problems('{"processes": {"a": null}}')).toEqual([
      'processes.a: expected an object that describes a process, got null',
    ])
    expect(problems('[]')).toEqual([': expected an object with the key "processes", got an empty list'])
    expect(problems('null')).toEqual([': expected an object with the key "processes", got null'])
  })

  it('rejects names that look like integers or cannot be shown as a prefix', () => {
    for (const name of ['7', '0', 'a b', '', '#1', 'a\n']) {
      const [problem] = failure({ processes: { [name]: store } }).problems
      expect(problem?.message).toContain('is not a number')
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

  it('rejects __proto__ as a name', () => {
    expect(
      problems('{"processes": {"__proto__": {"command": "x"}, "a": {"command": "b", "env": {"__proto__": "x"}}}}'),
    ).toEqual([
      'processes.__proto__: this name is not allowed; choose another one',
      'processes.a.env.__proto__: this name is not allowed; choose another one',
    ])
  })

  it.each([
    ['replica', 3],
    ['livenes_probe', { exec: 'true' }],
    ['toString', 1],
  ])('rejects the unknown key %s of a process', (key, value) => {
    expect(problems({ processes: { a: { ...store, [key]: value } } })[0]).toContain(`processes.a.${key}: unknown key`)
  })

  it('rejects a liveness probe that can never fail, and a window without max_attempts', () => {
    const a = { ...store, liveness_probe: { log_line: 'up' }, restart: { window_ms: 1000 } }
    expect(problems({ processes: { a } })).toEqual([
      'processes.a.liveness_probe: needs exactly one of tcp_socket, http_get, exec',
      expect.stringMatching(
        /^processes\.a\.liveness_probe\.log_line: unknown key; expected tcp_socket, http_get, exec, /,
      ),
      expect.stringMatching(/^processes\.a\.restart\.window_ms: has no effect without "max_attempts"/),
    ])
  })

  it('reports why the file cannot be read', () => {
    const from = (path: string) => failure({}, { path }).message
    expect(from(join(folder, 'none.json'))).toBe(
      `${folder}/none.json does not exist; name an existing file with --config`,
    )
    expect(from(folder)).toBe(`${folder} is a folder, not a file`)
    writeFileSync(join(folder, 'latin.json'), Buffer.from([0x7b, 0xe4, 0x7d]))
    expect(from(join(folder, 'latin.json'))).toBe(`${folder}/latin.json is not UTF-8 text`)
  })
})

describe('a secret (O-42)', () => {
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
  ])('is not shown as an invalid value: %j', (process) => {
    const { message } = failure({ processes: { store: { ...store, ...process } } })
    expect(message.replaceAll('API_TOKEN=hunter2', '')).not.toMatch(/hunter2|12345678/)
  })

  it('is any value of a process with such a name', () => {
    expect(problems({ processes: { keystore: { command: 5 } } })[0]).toContain('got 5')
  })
})

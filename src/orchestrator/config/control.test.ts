import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import * as rig from '../../../test/rig/configuration/config.ts'
import { configuredSocket, digestOf } from './control.ts'
import type { ResolvedConfig } from './resolved.ts'

const { folder, path, store } = rig
const processes = { store }

function resolved(control: unknown, environment: NodeJS.ProcessEnv = {}): ResolvedConfig['control'] {
  return rig.load({ control, processes }, { environment }).control
}

const form =
  'expected host:port, or a port of 127.0.0.1 alone, with a port from 1 to 65535, such as 127.0.0.1:19100 or [::1]:19100'

describe('the configuration key control', () => {
  it.each([
    [true, { socketPath: null, http: null }],
    [{}, { socketPath: null, http: null }],
    [false, null],
    [{ socket: 'run/${NAME}' }, { socketPath: join(folder, 'run/mine'), http: null }],
    [{ socket: '/run/x' }, { socketPath: '/run/x', http: null }],
  ])('is loaded from %j', (control, expected) => expect(resolved(control, { NAME: 'mine' })).toEqual(expected))

  it.each([
    [19_100, '127.0.0.1', 19_100],
    ['19100', '127.0.0.1', 19_100],
    ['${PORT:-19100}', '127.0.0.1', 19_100],
    ['localhost:${OTHER}', 'localhost', 7],
    ['127.9.9.9:7', '127.9.9.9', 7],
    ['[::1]:7', '::1', 7],
  ])('accepts the http address %j', (http, host, port) => {
    expect(resolved({ http }, { OTHER: '7' })?.http).toEqual({ host, port, tokenDigest: null })
  })

  it.each(['0.0.0.0:7', '10.0.0.7:7', '[::]:7', 'machine.example:7', '[::ffff:10.0.0.7]:7'])(
    'accepts the http address %j only with a token (O-20)',
    (http) => {
      expect(rig.problems({ control: { http }, processes })).toEqual([
        `control.http: other machines can reach ${http}, so it needs a "token", such as "\${PONIX_CONTROL_TOKEN}"; or use 127.0.0.1`,
      ])
      expect(resolved({ http, token: '${T}' }, { T: 'hunter22' })?.http?.tokenDigest).toBe(digestOf('hunter22'))
    },
  )

  it.each([
    ['yes', 'control: expected true, false, or an object with "socket", "http" and "token", got "yes"'],
    [{ htp: 7 }, 'control.htp: unknown key; did you mean "http"?'],
    [{ http: 0 }, 'control.http: expected a port from 1 to 65535, got 0'],
    [{ http: 65_536 }, 'control.http: expected a port from 1 to 65535, got 65536'],
    [{ http: '127.0.0.1' }, `control.http: ${form}, got "127.0.0.1"`],
    [{ http: '127.0.0.1:${PORT}' }, `control.http: ${form}, got "127.0.0.1:many"`],
    [{ http: '7:${PORT_KEY}' }, `control.http: ${form}, got a value that is not shown because it may be a secret`],
    [{ http: '${NOPE}' }, 'control.http: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}'],
    [{ socket: '' }, 'control.socket: expected the path of a socket, got ""'],
    [
      { socket: `/${'x'.repeat(103)}` },
      'control.socket: expected a socket path of at most 103 bytes, got 104 bytes; choose a shorter path',
    ],
    [
      { token: '${PORT}' },
      'control.token: has no effect without "http", which it protects; only this user can use the socket',
    ],
    [
      { http: 7, token: 'hunter 22' },
      'control.token: expected visible ASCII characters without spaces; it has other characters',
    ],
    [{ http: '0.0.0.0:7', token: '${EMPTY}' }, 'control.token: ${EMPTY} is unset or empty; set it to a secret text'],
    [{ http: 7, token: 'x-${EMPTY:-}' }, 'control.token: ${EMPTY} is unset or empty; set it to a secret text'],
    [
      { http: 7, token: 'x-${NOPE:-${EMPTY}}' },
      'control.token: ${EMPTY} and ${NOPE} is unset or empty; set it to a secret text',
    ],
    [
      { http: 7, token: '${NOPE}' },
      'control.token: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
    ],
    [
      { http: 7, token: 7 },
      'control.token: expected a token, got a value that is not shown because it may be a secret',
    ],
  ])('has one problem if it is %j (O-20)', (control, expected) => {
    const environment = { PORT: 'many', PORT_KEY: 'hunter22', EMPTY: '' }
    expect(rig.problems({ control, processes }, { environment })).toEqual([expected])
  })

  it('neither the loaded configuration nor the processes contain the token and its variables (O-42)', () => {
    const control = { http: 7, token: '${MINE}-${OTHER:-${THIRD}}' }
    const environment = { MINE: 'hunter22', OTHER: '', THIRD: 'hunter33', FOURTH: 'yes' }
    const config = rig.load({ control, processes }, { environment })
    expect(JSON.stringify(config)).not.toMatch(/hunter|MINE|OTHER|THIRD/)
    expect(config.processes[0]?.env['FOURTH']).toBe('yes')
    expect(config.control?.http?.tokenDigest).toBe(digestOf('hunter22-hunter33'))
  })

  it('rejects a process that uses a withheld variable', () => {
    const args = ['${MINE}', '${PONIX_CONTROL_TOKEN}', '${NOTIFY_FD}']
    const file = { control: { http: 7, token: '${MINE}' }, processes: { store: { ...store, args } } }
    const environment = { MINE: 'hunter22', PONIX_CONTROL_TOKEN: 'hunter33' }
    expect(rig.problems(file, { environment })).toEqual([
      'processes.store.args[0]: ${MINE} is reserved for the orchestrator; use a variable with another name for processes',
      'processes.store.args[1]: ${PONIX_CONTROL_TOKEN} is reserved for the orchestrator; use a variable with another name for processes',
      'processes.store.args[2]: ${NOTIFY_FD} is not set and has no default; set NOTIFY_FD, or write ${NOTIFY_FD:-default}',
    ])
  })
})

describe('configuredSocket', () => {
  it.each([
    [{ socket: 'run/${NAME:-x}' }, join(folder, 'run/x')],
    [{ socket: 'run/${NOPE}' }, null],
    [{ socket: 'run/${OWN}' }, join(folder, 'run/mine')],
    [{ socket: 5 }, null],
    [{ http: '${NOPE}', socket: 'run/x' }, join(folder, 'run/x')],
    [{}, null],
    [true, null],
    [undefined, null],
  ])('finds the path for %j', (control, expected) => {
    writeFileSync(path, JSON.stringify({ env: { OWN: 'mine' }, control }))
    expect(configuredSocket(path, {})).toBe(expected)
  })

  it('returns null for a broken or missing file', () => {
    writeFileSync(path, '{')
    expect([configuredSocket(path, {}), configuredSocket(join(folder, 'none.json'), {})]).toEqual([null, null])
  })
})

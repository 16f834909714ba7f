import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CommandLine } from '../../../test/rig/orchestrator/command-line.ts'
import type { Outcome } from '../../../test/rig/program.ts'

let program: CommandLine
beforeAll(async () => {
  program = new CommandLine()
}, 60_000)
afterAll(() => program.dispose())

const ponix = (...args: readonly string[]): Promise<Outcome> => program.run(...args)
const writeConfig = (config: unknown, name?: string): void => program.writeConfig(config, name)
/** Every process that starts creates this file in the working directory. */
const isMarked = (): boolean => existsSync(join(program.folder, 'was-started'))

const touch = { command: '/bin/sh', args: ['-c', 'echo x >> was-started'] }

const file = {
  processes: {
    http: { ...touch, depends_on: ['store', 'migrate'] },
    store: touch,
    migrate: { ...touch, kind: 'task' },
  },
}

describe('help and version (O-11)', () => {
  it('--help prints every option and command to stdout', async () => {
    const { code, stdout, stderr } = await ponix('--help')
    expect([code, stderr]).toEqual([0, ''])
    const expected = [
      '--config',
      '--only',
      '--disable',
      '--mqtt-broker',
      '--log-format',
      '--timestamps',
      '--prefix',
      '--abort-on-exit',
      '--exit-code-from',
    ]
    for (const word of [...expected, '--version', '--help', 'run', 'validate', 'graph']) expect(stdout).toContain(word)
  })

  it('--help hides internal options, and shows each option once with --help as the last one', async () => {
    const { stdout } = await ponix('--help')
    const flags = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, flag]) => flag)
    expect(flags).not.toContain('--detached')
    expect(flags).toEqual([...new Set(flags)])
    expect(flags.at(-1)).toBe('--help')
  })

  it('every command prints its help with --help', async () => {
    const { stdout } = await ponix('--help')
    const list = /Commands:\n((?: {2}.*\n)+)/.exec(stdout)?.[1] ?? ''
    const commands = [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name = '']) => name)
    expect(commands).toContain('down')
    for (const command of commands.filter((name) => name !== 'help')) {
      const { code, stdout } = await ponix(command, '--help')
      expect([code, stdout]).toEqual([
        0,
        expect.stringMatching(new RegExp(`^Usage: ponix-orchestrator ${command}[^]*--config`)),
      ])
    }
    expect(await ponix('help', 'graph')).toEqual(await ponix('graph', '--help'))
  })

  it.each([
    [['--help'], true],
    [['run', '--help'], true],
    [['status', '--help'], false],
    [['validate', '--help'], false],
  ])('%j mentions the MQTT broker: %j (O-30)', async (args, expected) => {
    expect((await ponix(...args)).stdout.includes('--mqtt-broker <host:port>')).toBe(expected)
  })

  it('--version prints the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../..', 'package.json'), 'utf8'))
    expect(await ponix('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })
})

describe('wrong usage prints one line, exits with 2 and starts nothing (O-6)', () => {
  it.each([
    [['--onyl', 'store'], "ponix-orchestrator: unknown option '--onyl' (did you mean --only?)"],
    [['--abort-on-exti'], "ponix-orchestrator: unknown option '--abort-on-exti' (did you mean --abort-on-exit?)"],
    [['graph', '--abort-on-exit'], 'ponix-orchestrator: --abort-on-exit is an option of run, not of this command'],
    [['--only'], 'ponix-orchestrator: --only needs a value: --only <names>'],
    [['--only', 'store,stoer'], 'ponix-orchestrator: --only "stoer": there is no such process; did you mean "store"?'],
    [
      ['--only', ','],
      'ponix-orchestrator: --only ",": there is no such process; the processes are http, store, migrate',
    ],
    [
      ['--with-dependencies'],
      'ponix-orchestrator: --with-dependencies has no effect without --only, whose processes have the dependencies',
    ],
    [['--only', 'stoer'], 'ponix-orchestrator: --only "stoer": there is no such process; did you mean "store"?'],
    [['--disable', 'stoer'], 'ponix-orchestrator: --disable "stoer": there is no such process; did you mean "store"?'],
    [
      ['--only', 'store', '--disable', 'store'],
      'ponix-orchestrator: --only and --disable both name "store"; remove one of them',
    ],
    [
      ['--exit-code-from', 'htp'],
      'ponix-orchestrator: --exit-code-from "htp": there is no such process; did you mean "http"?',
    ],
    [
      ['--exit-code-from', 'http', '--disable', 'http'],
      'ponix-orchestrator: --exit-code-from: "http" was left out by --disable',
    ],
    [
      ['--mqtt-broker', 'localhost:99999'],
      'ponix-orchestrator: --mqtt-broker "localhost:99999": expected host:port with a port from 1 to 65535, such as localhost:1883 or [::1]:1883',
    ],
    [
      ['--mqtt-broker', 'mqtt://me:hunter2@localhost'],
      'ponix-orchestrator: --mqtt-broker "mqtt://me:***@localhost": expected host:port with a port from 1 to 65535, such as localhost:1883 or [::1]:1883',
    ],
    [['--log-format', 'xml'], 'ponix-orchestrator: --log-format "xml": expected text or json'],
    [['graph', '--format', 'svg'], 'ponix-orchestrator: --format "svg": expected text, mermaid, dot or json'],
    [['valdate'], 'ponix-orchestrator: unknown command "valdate"; did you mean "validate"?'],
    [['up'], 'ponix-orchestrator: unknown command "up"; did you mean "run"?'],
    [['ps'], 'ponix-orchestrator: unknown command "ps"; did you mean "status"?'],
    [
      ['run', 'store', 'http'],
      'ponix-orchestrator: run takes no arguments, got "store http"; to run single processes, use: ponix-orchestrator run --only store,http --with-dependencies',
    ],
    [
      ['store'],
      'ponix-orchestrator: unknown command "store"; the commands are run, validate, graph, init, export, completion, status, logs, start, stop, restart, scale, wait, ls, attach, reload, down',
    ],
    [['--abort-on-exit', 'validate'], 'ponix-orchestrator: write the command first: ponix-orchestrator validate …'],
    [['graph', 'store'], 'ponix-orchestrator: graph takes no arguments, got "store"'],
    [
      ['down', 'store', 'http'],
      'ponix-orchestrator: down takes no arguments, got "store http"; to stop single processes, use: ponix-orchestrator stop store http',
    ],
    [
      ['reload', 'store'],
      'ponix-orchestrator: reload takes no arguments, got "store"; to restart single processes, use: ponix-orchestrator restart store',
    ],
    [
      ['down', '--only', 'store,http'],
      'ponix-orchestrator: --only has no effect on down; to stop single processes, use: ponix-orchestrator stop store http',
    ],
    [
      ['--only', 'store', 'logs', '-f'],
      'ponix-orchestrator: --only has no effect on logs; write the names after the command: ponix-orchestrator logs store',
    ],
    [['reload', '--profile', 'dev'], 'ponix-orchestrator: --profile has no effect on reload; leave it out'],
    [['graph', '--json'], "ponix-orchestrator: unknown option '--json'; see: ponix-orchestrator graph --help"],
    [['--verbose'], "ponix-orchestrator: unknown option '--verbose'; see: ponix-orchestrator run --help"],
    [['-c'], 'ponix-orchestrator: --config needs a value: --config <path>'],
    [['help', 'stats'], 'ponix-orchestrator: unknown command "stats"; did you mean "status"?'],
    [['stop'], "ponix-orchestrator: stop needs <names...>: names of processes, patterns such as 'web*', or all"],
    [['logs', '--folow'], "ponix-orchestrator: unknown option '--folow' (did you mean --follow?)"],
    [['export', 'systemd', 'store'], 'ponix-orchestrator: export takes at most one argument, got "systemd store"'],
    [
      ['completion', 'bash', 'zsh'],
      'ponix-orchestrator: completion: expected the name of one shell: bash, zsh or fish',
    ],
    [['--config', 'none.json'], 'ponix-orchestrator: none.json does not exist; name an existing file with --config'],
    [['--config', '.'], 'ponix-orchestrator: . is a folder, not a file'],
    [
      ['--config', 'broker.json'],
      'broker.json:1:17: mqtt_broker: expected host:port with a port from 1 to 65535, such as localhost:1883 or [::1]:1883, got "localhost:99999"',
    ],
    [
      ['--config', 'empty.json'],
      'empty.json:1:15: processes: is empty; expected at least one process, such as {"store": {"command": "my-store"}}',
    ],
  ])('the arguments %j are rejected', async (args, message) => {
    writeConfig(file)
    writeConfig('{"mqtt_broker": "localhost:99999", "processes": {"a": {"command": "true"}}}', 'broker.json')
    writeConfig('{"processes": {}}', 'empty.json')
    expect(await ponix(...args)).toEqual({ code: 2, stdout: '', stderr: `${message}\n` })
    expect(isMarked()).toBe(false)
  })

  it('an invalid file prints every error and starts nothing (O-20)', async () => {
    writeConfig({ processes: { store: touch, http: { comand: 'x', depends_on: ['stoer'] } } }, 'bad.json')
    const { code, stdout, stderr } = await ponix('--config', 'bad.json')
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr.trimEnd().split('\n')).toHaveLength(4)
    expect(isMarked()).toBe(false)
  })
})

describe('validate (O-7)', () => {
  it('prints the start order of a valid file and starts nothing', async () => {
    writeConfig(file)
    const { code, stdout, stderr } = await ponix('validate')
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.split('\n')).toEqual([
      'commonplace.json is valid. Start order:',
      '1. store',
      '   migrate',
      '2. http ← store (started), migrate (completed_successfully)',
      '',
    ])
    expect(isMarked()).toBe(false)
  })

  it('takes options before and after the command and omits disabled processes (O-2, O-4)', async () => {
    writeConfig(file, 'other.json')
    const before = await ponix('-c', 'other.json', '--disable', 'migrate', 'validate')
    expect(before).toEqual(await ponix('validate', '--disable', 'migrate', '--config', 'other.json'))
    expect([before.code, before.stdout.split('\n').at(-2)]).toEqual([0, '2. http ← store (started)'])
  })

  it('--mqtt-broker replaces the broker of the file (O-5)', async () => {
    const user = { ...touch, args: ['${mqtt_broker}'] }
    writeConfig({ mqtt_broker: 'there:1', processes: { user } }, 'broker-user.json')
    const { stdout } = await ponix('validate', '--config', 'broker-user.json', '--mqtt-broker', 'elsewhere:1999')
    expect(stdout.split('\n').at(-2)).toBe('1. user ← the MQTT broker at elsewhere:1999')
  })

  it('prints every error of an invalid file and exits with 2', async () => {
    writeConfig(
      { processes: { a: { command: 'x', depends_on: ['b'] }, b: { command: 5, depends_on: ['a'] } } },
      'bad.json',
    )
    expect(await ponix('validate', '--config', 'bad.json')).toEqual({
      code: 2,
      stdout: '',
      stderr: [
        'bad.json:1:48: processes.a.depends_on[0]: dependency cycle: a → b → a',
        'bad.json:1:69: processes.b.command: expected a program name or path, got 5',
        '2 errors in bad.json',
        '',
      ].join('\n'),
    })
  })

  it('prints the same start order every time (O-22)', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `p${(index * 7) % 20}`)
    writeConfig({ processes: Object.fromEntries(names.map((name) => [name, touch])) }, 'many.json')
    const { stdout } = await ponix('validate', '--config', 'many.json')
    const order = stdout
      .split('\n')
      .slice(1, -1)
      .map((line) => line.slice(3))
    expect(order).toEqual(names)
  })
})

describe('graph (O-8)', () => {
  it.each([
    ['text', '  1  store\n     migrate (task)\n'],
    ['mermaid', 'flowchart LR\n'],
    ['dot', 'digraph processes {\n'],
    ['json', '{\n  "processes": [\n'],
  ])('prints the format %s', async (format, beginning) => {
    writeConfig(file)
    const { code, stdout } = await ponix('graph', '--format', format)
    expect([code, stdout.slice(0, beginning.length)]).toEqual([0, beginning])
  })

  it('prints text without --format', async () => {
    writeConfig(file)
    expect(await ponix('graph')).toEqual(await ponix('graph', '--format', 'text'))
  })
})

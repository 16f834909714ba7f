import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadFile, loadGraph } from '../../../test/rig/configuration/export.ts'
import { exportedProcesses, secretGroups, safeId, noteLines, notesAbout } from './exported-graph.ts'

function exported(process: object, environment: NodeJS.ProcessEnv = {}, file: object = {}) {
  const { config } = loadGraph({ ...file, processes: { store: process } }, environment)
  const [first] = exportedProcesses(config)
  if (first === undefined) throw new Error('expected one')
  return first
}

describe('exportedProcesses (O-42)', () => {
  it.each<[string, object]>([
    ['a flag and its value', { command: 'x', args: ['-v', '--password', 'hunter22'] }],
    ['a flag with its value', { command: 'x', args: ['--api-token=hunter22'] }],
    ['a flag with a further secret word', { command: 'x', args: ['--pass=hunter22', '--basic-auth', 'hunter22'] }],
    ['a flag in a line for the shell', { command: 'psql --password hunter22', shell: true }],
    ['a URL', { command: 'x', args: ['postgres://me:hunter22@db/x'] }],
    ['a line for the shell', { command: 'PGPASSWORD=hunter22 psql', shell: true }],
    ['a variable with a secret name', { command: 'x', env: { PGPASSWORD: 'hunter22' } }],
    ['a variable with a URL', { command: 'x', env: { DATABASE: 'postgres://me:hunter22@db/x' } }],
    [
      'the value of a secret variable elsewhere',
      { command: 'x', args: ['-a${MY_TOKEN}'], env: { PLAIN: '${MY_TOKEN}' } },
    ],
    ['the program', { command: '${MY_TOKEN}' }],
    ['a probe that is a command', { command: 'x', readiness_probe: { exec: ['psql', 'postgres://me:hunter22@db'] } }],
    ['a probe that is a line', { command: 'x', readiness_probe: { exec: 'TOKEN=hunter22 check' } }],
    ['the URL of a probe', { command: 'x', readiness_probe: { http_get: 'http://me:hunter22@localhost/' } }],
  ])('exports a reference instead of the secret in %s', (_, process) => {
    const { definition: source, ...rest } = exported(process, { MY_TOKEN: 'hunter22' })
    expect(JSON.stringify(source)).toContain('hunter22')
    expect(JSON.stringify(rest)).not.toContain('hunter22')
    expect(secretGroups({ definition: source, ...rest })).toHaveLength(1)
  })

  it.each<[string, readonly string[]]>([
    ['a flag after a secret flag', ['--auth', '--port', '27017']],
    ['the name of a host', ['http://auth:8080/', 'http://keycloak:80']],
    ['the folder of the shell', ['$PWD:/data']],
    ['the value of a switch', ['true']],
  ])('exports %s', (_, args) => {
    const { words } = exported({ command: 'x', args, env: { BASIC_AUTH: 'true' } })
    expect(words).toEqual(['x', ...args].map((text) => ({ text })))
  })

  it('names the variables of secrets after the process and the place', () => {
    const process = exported({
      command: 'x',
      args: ['-v', '--password', 'hunter22'],
      env: { A_KEY: 'k' },
      readiness_probe: { exec: ['check', '--token', 'x'] },
    })
    const { words, readiness } = process
    expect(words).toEqual([{ text: 'x' }, { text: '-v' }, { text: '--password' }, { secret: 'STORE_ARGUMENT_3' }])
    expect(readiness?.check).toEqual({
      type: 'exec',
      words: [{ text: 'check' }, { text: '--token' }, { secret: 'STORE_READINESS_3' }],
    })
    expect(secretGroups(process)).toMatchObject([{ names: ['A_KEY', 'STORE_ARGUMENT_3', 'STORE_READINESS_3'] }])
  })
})

describe('the secrets that the file sets for all processes (O-42)', () => {
  const file = {
    env: { API_TOKEN: 'hunter22', URL: 'http://me:hunter22@host/', PLAIN: 'x' },
    processes: {
      a: { command: 'x', env: { OWN_KEY: 'hunter22' } },
      b: { command: 'x', env: { URL: 'http://host/' } },
      shared: { command: 'x' },
    },
  }

  it('are in one group, and a process has those that it replaces in its own group', () => {
    const processes = exportedProcesses(loadGraph(file).config)
    const shared = { type: 'secrets', id: 'shared', names: ['API_TOKEN', 'URL'] }
    expect(processes.map((exported) => secretGroups(exported))).toEqual([
      [shared, { type: 'secrets', id: 'a', names: ['OWN_KEY'] }],
      [shared, { type: 'secrets', id: 'b', names: ['URL'] }],
      [shared],
    ])
    expect(processes.map(({ id, environment }) => [id, environment])).toEqual([
      ['a', { PLAIN: 'x' }],
      ['b', { PLAIN: 'x' }],
      ['shared-2', { PLAIN: 'x' }],
    ])
  })

  it('reserve no id if there are none', () => {
    const { config } = loadGraph({ processes: { shared: { command: 'x' } } })
    expect(exportedProcesses(config).map(({ id }) => id)).toEqual(['shared'])
  })
})

describe('exportedProcesses (O-10)', () => {
  it('exports the variables that the file sets, and none that only the exporter has', () => {
    const process = { command: 'x', env: { LEVEL: 'info', PORT: '${PORT:-1}' } }
    const { environment } = exported(process, { LEVEL: 'info', PORT: '80', EDITOR: 'vi' }, { env: { SHARED: 's' } })
    expect(environment).toEqual({ LEVEL: 'info', PORT: '80', SHARED: 's' })
  })

  it('refers to the env_file of the file, even if it is missing', () => {
    const { folder, config } = loadGraph({
      env_file: { path: 'x.env', required: false },
      processes: { a: { command: 'x' } },
    })
    const layer = { type: 'env_file', id: 'shared', path: join(folder, 'x.env'), isRequired: false }
    expect(exportedProcesses(config)).toMatchObject([{ layers: [{ ...layer, names: [] }] }])
    writeFileSync(join(folder, 'x.env'), 'A=1\n')
    expect(exportedProcesses(loadFile(config.path, {}).config)).toMatchObject([
      { environment: {}, layers: [{ ...layer, names: ['A'] }] },
    ])
  })

  it('exports MQTT_BROKER for users of the broker only (O-30)', () => {
    const environmentOf = (process: object) => exported(process, {}, { mqtt_broker: 'there:1' }).environment
    expect(environmentOf({ command: 'x', uses: 'mqtt_broker' })).toEqual({ MQTT_BROKER: 'there:1' })
    expect(environmentOf({ command: 'x' })).toEqual({})
  })

  it('makes names that are valid for every engine and unique', () => {
    const processes = { 'Web.A': { command: 'x' }, 'web:a': { command: 'x' }, _: { command: 'x' } }
    const { config } = loadGraph({ processes })
    expect(exportedProcesses(config).map(({ id }) => id)).toEqual(['web-a', 'web-a-2', 'p'])
  })

  it.each([
    ['My Project', 'my-project'],
    ['9lives', 'p-9lives'],
    ['x'.repeat(80), 'x'.repeat(44)],
    ['', 'p'],
  ])('converts the name %j with safeId to %j', (name, id) => expect(safeId(name)).toBe(id))
})

describe('the exported instances of one process', () => {
  it('have an id and a number each, and dependents wait for all of them (O-10)', () => {
    const file = {
      web: { command: 'w', depends_on: ['worker'] },
      worker: { command: 'x', args: ['${PONIX_REPLICA}'], replicas: 2 },
    }
    const { config } = loadGraph({ processes: file }, { PONIX_REPLICA: '7' })
    const processes = exportedProcesses(config)
    expect(processes.map(({ id, environment }) => [id, environment['PONIX_REPLICA']])).toEqual([
      ['web', undefined],
      ['worker-1', '1'],
      ['worker-2', '2'],
    ])
    expect(processes[0]?.definition.dependsOn.map(({ name }) => name)).toEqual(['worker#1', 'worker#2'])
  })
})

describe('noteLines (O-10)', () => {
  it('merges equal notes and lists their processes', () => {
    const notes = [{ about: null, text: 'all' }, ...notesAbout('a', ['x', false]), ...notesAbout('b', ['y', 'x'])]
    expect(noteLines(notes)).toEqual(['all', 'a, b: x', 'b: y'])
  })
})

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { emptyFolder } from '../../../test/rig/empty-folder.ts'
import { fileOf, loadFile, type LoadedGraph, parseYamlDocuments } from '../../../test/rig/configuration/export.ts'
import { parseUnit, verifyExport } from '../../../test/rig/orchestrator/systemd.ts'
import type { LoadedConfig } from '../config/load.ts'
import { exportCompose } from './compose.ts'
import type { Export } from './exported-graph.ts'
import { exportKubernetes } from './kubernetes.ts'
import { exportSystemd } from './systemd.ts'

const base = {
  PLAIN: 'base-plain',
  DB_PASS: 'base-pass',
  REPLACED: 'base-replaced',
  UNDER_ENV: 'base-under-env',
  PRICE: '5 $x',
}
const own = {
  REPLACED: 'own-replaced',
  OVER_ENV: 'own-over-env',
  SHARED_TOKEN: 'own-shared',
  UNDER_OWN: 'own-under-own',
  OWN_TOKEN: 'own-own',
}
const file = {
  env_file: ['base.env', { path: 'local.env', required: false }],
  env: { UNDER_ENV: 'env of the file', OVER_ENV: 'env-over', SHARED_TOKEN: 'env-shared' },
  processes: {
    web: { command: 'sleep', args: ['1000'], env_file: 'own.env', env: { UNDER_OWN: 'env', OWN_TOKEN: 'env-own' } },
    other: { command: 'sleep', args: ['1000'] },
  },
}
/** The files that the notes tell the user to write, by their ids. */
const secretFiles: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  shared: { SHARED_TOKEN: 'env-shared' },
  web: { OWN_TOKEN: 'env-own' },
}

type Values = Readonly<Record<string, string | undefined>>

const render = (variables: Values) => Object.entries(variables).map(([name, value]) => `${name}='${value}'\n`)

function load(changed: object = {}): LoadedGraph {
  const folder = emptyFolder()
  writeFileSync(join(folder, 'base.env'), render(base).join(''))
  writeFileSync(join(folder, 'own.env'), render(own).join(''))
  writeFileSync(join(folder, 'commonplace.json'), JSON.stringify({ ...file, ...changed }))
  return loadFile(join(folder, 'commonplace.json'), { PATH: '/usr/bin:/bin' })
}

const systemd = ({ config, options }: LoadedGraph): Export =>
  exportSystemd(config, { ...options, user: 'daemon', systemdVersion: 252 })

/** Returns the variables of the files of a process, as the orchestrator passes them. */
function expected(config: LoadedConfig, name: string): Values {
  const definition = config.processes.find((process) => process.name === name)
  const { PATH: _, ...env } = definition?.env ?? {}
  return env
}

const contentOf = (path: string): Values => {
  const id = /(\w+)\.env$/.exec(path)?.[1] ?? ''
  const content = { ...secretFiles, base, own, local: {} }[id]
  if (content === undefined) throw new Error(`unexpected file ${path}`)
  return content
}

describe('the variables of env_file (O-42)', () => {
  it.each([
    ['systemd', systemd],
    ['compose', ({ config, options }: LoadedGraph) => exportCompose(config, options)],
    ['kubernetes', ({ config, options }: LoadedGraph) => exportKubernetes(config, options)],
  ])('are not in an export for %s', (_, exportTo) => {
    const { files, notes } = exportTo(load())
    const text = [...files.map((one) => one.text), ...notes].join('\n')
    for (const value of [...Object.values(base), ...Object.values(own)]) expect(text).not.toContain(value)
    expect(text).toContain('env of the file')
    expect(text).toContain('base.env')
  })

  it.each(['web', 'other'])('have the same precedence in the unit of %s', async (name) => {
    const loaded = load()
    const exported = systemd(loaded)
    const lines = fileOf(exported, `plant-${name}.service`).split('\n')
    const valuesOf = (key: string) =>
      lines.flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []))
    const effective: Record<string, string | undefined> = {}
    const assign = (text: string) => {
      const [, variable = '', value] = /^"?(\w+)=([^"]*)"?$/.exec(text) ?? []
      effective[variable] = value
    }
    for (const text of valuesOf('Environment')) assign(text)
    for (const path of valuesOf('EnvironmentFile')) Object.assign(effective, contentOf(path))
    const [, command = ''] = /^\/usr\/bin\/env -- (.*) \/\S*sleep 1000$/.exec(valuesOf('ExecStart')[0] ?? '') ?? []
    for (const word of command.match(/"[^"]*"|\S+/g) ?? []) assign(word)
    const { PATH: _, ...variables } = effective
    expect(variables).toEqual(expected(loaded.config, name))
    expect(valuesOf('EnvironmentFile')).toContain(`-${join(loaded.folder, 'local.env')}`)
    expect(valuesOf('EnvironmentFile')).toContain(join(loaded.folder, 'base.env'))
    expect(await verifyExport(exported)).toBe('')
  })

  it('are replaced by those of env when the command of a unit runs', async () => {
    const exported = systemd(load({ env: { PLAIN: 'a "b" %h' }, processes: { web: { command: 'printenv' } } }))
    const [, service = ''] = fileOf(exported, 'plant-web.service').split('[Service]')
    const [command = []] = (await parseUnit(`[Service]${service}`)).commands
    const [program = '', ...args] = command
    const { stdout } = await execa(program, args, { env: base, extendEnv: false })
    expect(stdout.split('\n')).toEqual(expect.arrayContaining(['PLAIN=a "b" %h', 'DB_PASS=base-pass']))
  })

  it.each(['web', 'other'])('have the same precedence in the service of %s', (name) => {
    const loaded = load()
    const exported = exportCompose(loaded.config, loaded.options)
    const form = z.object({
      services: z.record(
        z.string(),
        z.object({
          environment: z.record(z.string(), z.string()).optional(),
          env_file: z.array(z.union([z.string(), z.object({ path: z.string(), required: z.boolean() })])),
        }),
      ),
    })
    const service = form.parse(parseYamlDocuments(fileOf(exported, 'compose.yaml'))[0]).services[name]
    const paths = (service?.env_file ?? []).map((entry) => (typeof entry === 'string' ? entry : entry.path))
    const values = Object.assign({}, ...paths.map((path) => contentOf(path)), service?.environment)
    expect(values).toEqual(expected(loaded.config, name))
    expect(service?.env_file.slice(0, 2)).toEqual([
      { path: './base.env', required: true },
      { path: './local.env', required: false },
    ])
    expect(exported.notes).toContainEqual(
      expect.stringMatching(/Compose expands the dollar signs of PRICE in \.\/base\.env/),
    )
  })

  it.each(['web', 'other'])('have the same precedence in the Deployment of %s', (name) => {
    const loaded = load()
    const exported = exportKubernetes(loaded.config, loaded.options)
    const container = z.object({
      envFrom: z.array(z.object({ secretRef: z.object({ name: z.string(), optional: z.literal(true).optional() }) })),
      env: z.array(
        z.object({
          name: z.string(),
          value: z.string().optional(),
          valueFrom: z.object({ secretKeyRef: z.object({ name: z.string() }) }).optional(),
        }),
      ),
    })
    const form = z.object({
      spec: z.object({ template: z.object({ spec: z.object({ containers: z.tuple([container]) }) }) }),
    })
    const manifest = parseYamlDocuments(fileOf(exported, 'plant.yaml')).find(
      (one) =>
        z.object({ kind: z.literal('Deployment'), metadata: z.object({ name: z.literal(name) }) }).safeParse(one)
          .success,
    )
    const { envFrom, env } = form.parse(manifest).spec.template.spec.containers[0]
    const secrets: Readonly<Record<string, Values>> = { 'shared-env': base, 'shared-env-2': {}, 'web-env': own }
    const values: Record<string, string | undefined> = {}
    for (const { secretRef } of envFrom) Object.assign(values, secrets[secretRef.name])
    for (const { name: variable, value, valueFrom } of env) {
      const id = valueFrom?.secretKeyRef.name.replace('-secrets', '') ?? ''
      values[variable] = value ?? secretFiles[id]?.[variable]
    }
    expect(values).toEqual(expected(loaded.config, name))
    expect(envFrom[1]).toEqual({ secretRef: { name: 'shared-env-2', optional: true } })
    expect(exported.notes).toContainEqual(
      expect.stringContaining(`kubectl create secret generic shared-env --from-env-file=${loaded.folder}/base.env`),
    )
  })
})

describe('the values of an env_file in other texts (O-42)', () => {
  const web = {
    command: 'sleep',
    args: ['${PLAIN}', '${DB_PASS}'],
    env: { COPY: 'a-${PLAIN}', SECRET_COPY: 'a-${DB_PASS}' },
  }

  it.each([
    ['systemd', systemd],
    ['compose', ({ config, options }: LoadedGraph) => exportCompose(config, options)],
    ['kubernetes', ({ config, options }: LoadedGraph) => exportKubernetes(config, options)],
  ])('are exported to %s with a note, unless they are secret', (_, exportTo) => {
    const { files, notes } = exportTo(load({ processes: { web } }))
    const text = [...files.map((one) => one.text), ...notes].join('\n')
    expect(text).toContain('a-base-plain')
    expect(text).not.toContain('base-pass')
    expect(notes).toContainEqual(expect.stringMatching(/contain the current values of PLAIN from an env_file/))
    expect(notes).toContainEqual(expect.stringMatching(/SECRET_COPY, WEB_ARGUMENT_2: secret, so not included/))
  })
})

describe('a variable of control.token in an env_file (O-42)', () => {
  it('is named in a note, because other engines pass the whole file', () => {
    const { config, options } = load({ control: { http: 19_100, token: '${PLAIN}' } })
    expect(exportCompose(config, options).notes).toContainEqual(
      expect.stringMatching(
        /^web, other: its env_file also gives it PLAIN, which the orchestrator does not pass to processes$/,
      ),
    )
  })
})

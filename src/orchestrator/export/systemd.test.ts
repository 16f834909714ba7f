import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import {
  fileOf,
  loadDefaultGraph,
  loadFile,
  loadGraph,
  type LoadedGraph,
} from '../../../test/rig/configuration/export.ts'
import { parseUnit, verifyExport } from '../../../test/rig/orchestrator/systemd.ts'
import type { Export } from './exported-graph.ts'
import { exportSystemd, type SystemdOptions } from './systemd.ts'

function exportOf({ config, options }: LoadedGraph, changed: Partial<SystemdOptions> = {}): Export {
  return exportSystemd(config, { ...options, user: 'daemon', systemdVersion: 252, ...changed })
}

/** Returns the lines of one unit. */
function unitOf(processes: object, name: string, changed: Partial<SystemdOptions> = {}, file: object = {}): string[] {
  return fileOf(
    exportOf(loadGraph({ mqtt_broker: 'localhost:1883', ...file, processes }), changed),
    `plant-${name}.service`,
  ).split('\n')
}

/** Returns a unit without its dependencies, which `systemd --test` would need too. */
function serviceOf(exported: Export, name: string): string {
  return `[Service]${fileOf(exported, `plant-${name}.service`).split('[Service]')[1]}`
}

const sleep = { command: 'sleep', args: ['1000'] }
const graph = {
  mqtt_broker: 'localhost:1883',
  env: { SHARED: '100 %' },
  processes: {
    store: {
      ...sleep,
      env: { DB_PASSWORD: 'hunter22', MOTTO: 'a "b" \\ $c' },
      readiness_probe: { tcp_socket: '127.0.0.1:5432', initial_delay_ms: 100 },
      startup_timeout_ms: 30_000,
      shutdown: { signal: 'SIGINT', timeout_ms: 1500 },
    },
    migrate: { command: 'echo "$SHARED"; exit 0', shell: true, kind: 'task', depends_on: ['store'] },
    web: {
      ...sleep,
      args: ['--password', 'hunter22', '%h', '$HOME', "it's"],
      depends_on: {
        store: { condition: 'ready' },
        migrate: { condition: 'completed_successfully' },
        aside: { condition: 'completed' },
      },
      readiness_probe: { http_get: 'http://127.0.0.1:80/ready' },
      restart: { policy: 'on_failure', max_attempts: 3, backoff_ms: 500, max_backoff_ms: 4000, reset_after_ms: 1000 },
    },
    aside: { command: 'true', kind: 'task', restart: { policy: 'on_failure' } },
    spoken: { ...sleep, readiness_probe: { notify: true } },
    logged: { ...sleep, readiness_probe: { log_line: 'listening on \\d+' }, restart: { policy: 'never' } },
    checked: { ...sleep, readiness_probe: { exec: ['test', '-e', 'a b'] } },
    user: { ...sleep, args: ['${mqtt_broker}'] },
  },
}

describe('the check of exported units by systemd (O-10, O-40)', () => {
  it('accepts the units of every probe, kind, condition and policy', async () => {
    expect(await verifyExport(exportOf(loadGraph(graph)))).toBe('')
  })

  it('accepts the units of the default graph', async () => {
    expect(await verifyExport(exportOf(loadDefaultGraph()))).toBe('')
  })

  it('exports success_exit_codes with the signals that they mean', async () => {
    const codes = { ...sleep, success_exit_codes: [0, 7, 143] }
    expect(unitOf({ store: codes }, 'store')).toContain('SuccessExitStatus=7 143 SIGTERM')
    expect(unitOf({ store: sleep }, 'store').join()).not.toContain('SuccessExitStatus')
    expect(await verifyExport(exportOf(loadGraph({ processes: { store: codes } })))).toBe('')
  })

  it('accepts the unit of a missing program, which env searches when the unit starts', async () => {
    const missing = loadGraph({ processes: { a: { command: 'no-such-program', args: ['x'] } } })
    const exported = exportOf(missing)
    expect(await verifyExport(exported)).toBe('')
    expect(fileOf(exported, 'plant-a.service')).toContain('ExecStart=/usr/bin/env -- no-such-program x\n')
    expect(exported.notes).toEqual([expect.stringContaining('"no-such-program" was not found on this machine')])
  })
})

describe('PATH in exported units (O-10)', () => {
  it('has the programs of the project, the folder of node and the default of the system, and no others of the exporter', () => {
    const { folder, config } = loadGraph({
      processes: { a: { command: 'tool' }, b: { ...sleep, env: { PATH: '/x' } } },
    })
    const bin = join(folder, 'node_modules/.bin')
    const own = join(folder, 'own')
    for (const path of [bin, own]) mkdirSync(path, { recursive: true })
    writeFileSync(join(own, 'tool'), '#!/bin/sh\n', { mode: 0o755 })
    const node = dirname(process.execPath)
    const exported = exportOf(loadFile(config.path, { PATH: [own, folder, node, '/usr/bin'].join(':') }))
    const pathIn = (name: string) =>
      /^Environment="?PATH=([^"\n]*)"?$/m.exec(fileOf(exported, `plant-${name}.service`))?.[1]
    const system = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    const folders = pathIn('a')?.replace(`:${system}`, '').split(':') ?? []
    expect(folders.filter((path) => path.startsWith(folder))).toEqual([bin, own])
    expect(folders.includes(node)).toBe(!system.split(':').includes(node))
    expect(pathIn('a')?.endsWith(system)).toBe(true)
    expect(pathIn('b')?.endsWith(':/x')).toBe(true)
  })
})

describe('export systemd (O-10)', () => {
  it('writes a target that wants all units and stops them', () => {
    const exported = exportOf(loadGraph({ processes: { a: sleep, b: sleep } }))
    const target = fileOf(exported, 'plant.target').split('\n')
    expect(target).toEqual(
      expect.arrayContaining(['Wants=plant-a.service', 'Wants=plant-b.service', 'WantedBy=multi-user.target']),
    )
    expect(fileOf(exported, 'plant-a.service')).toContain('\nPartOf=plant.target\n')
  })

  it('exports equal replicas as a template, of which the target and dependents want each instance', async () => {
    const worker = { ...sleep, replicas: 3, env: { API_TOKEN: 'hunter22' }, log: { file: 'w-${PONIX_REPLICA}.log' } }
    const exported = exportOf(loadGraph({ processes: { worker, web: { ...sleep, depends_on: ['worker'] } } }))
    expect(exported.files.map(({ name }) => name)).toEqual([
      'plant.target',
      'plant-worker@.service',
      'plant-web.service',
    ])
    const units = [1, 2, 3].map((number) => `plant-worker@${number}.service`)
    const target = fileOf(exported, 'plant.target').split('\n')
    expect(target.filter((line) => line.includes('worker'))).toEqual(units.map((unit) => `Wants=${unit}`))
    const web = fileOf(exported, 'plant-web.service').split('\n')
    expect(web.filter((line) => line.includes('worker'))).toEqual(
      units.flatMap((unit) => [`After=${unit}`, `Requires=${unit}`]),
    )
    const template = fileOf(exported, 'plant-worker@.service').split('\n')
    const expected = ['Description=worker#%i', 'Environment=PONIX_REPLICA=%i', 'EnvironmentFile=/etc/plant/worker.env']
    expect(template).toEqual(expect.arrayContaining(expected))
    expect(await verifyExport(exported)).toBe('')
  })

  it('exports replicas that use their number as one unit each, and says why', async () => {
    const worker = { ...sleep, args: ['${PONIX_REPLICA}'], replicas: 2 }
    const exported = exportOf(loadGraph({ processes: { worker } }))
    const names = ['plant-worker-1.service', 'plant-worker-2.service']
    expect(exported.files.map(({ name }) => name)).toEqual(['plant.target', ...names])
    expect(exported.notes).toEqual([
      `${names.join(', ')}: its replicas use their number in args, so each is exported by itself`,
    ])
    expect(await verifyExport(exported)).toBe('')
  })

  it('exports a dependency as After= with Requires=, or with Wants= for the condition completed', () => {
    const web = unitOf(graph.processes, 'web')
    expect(web.filter((line) => /^(?:After|Requires|Wants)=plant/.test(line))).toEqual([
      'After=plant-store.service',
      'Requires=plant-store.service',
      'After=plant-migrate.service',
      'Requires=plant-migrate.service',
      'After=plant-aside.service',
      'Wants=plant-aside.service',
    ])
  })

  it('exports a task as oneshot, whose end dependents wait for', () => {
    const unit = unitOf(graph.processes, 'migrate')
    expect(unit).toEqual(expect.arrayContaining(['Type=oneshot', 'RemainAfterExit=yes', 'Restart=no']))
    expect(unit).toContain('ExecStart=/bin/sh -c "echo \\"$$SHARED\\"; exit 0"')
  })

  it('extends the start until the readiness probe succeeds, within the startup timeout', () => {
    const unit = unitOf(graph.processes, 'store')
    expect(unit).toEqual(expect.arrayContaining(['Type=exec', 'TimeoutStartSec=30s']))
    expect(unit.find((line) => line.startsWith('ExecStartPost='))).toMatch(/sleep 0\.1; while .* 127\.0\.0\.1 5432$/)
  })

  it('exports signal and timeout of the stop, folder and user', () => {
    const { config, options, folder } = loadGraph(graph)
    const unit = fileOf(exportOf({ config, options, folder }, { user: 'joe' }), 'plant-store.service').split('\n')
    const expected = ['KillSignal=SIGINT', 'TimeoutStopSec=1500ms', `WorkingDirectory=${folder}`, 'User=joe']
    expect(unit).toEqual(expect.arrayContaining(expected))
  })

  it('exports policy, backoff and limit of restarts; the backoff grows where systemd supports it', () => {
    expect(unitOf(graph.processes, 'web', { systemdVersion: 254 })).toEqual(
      expect.arrayContaining([
        'Restart=on-failure',
        'RestartSec=500ms',
        'RestartSteps=3',
        'RestartMaxDelaySec=4s',
        'StartLimitBurst=4',
        'StartLimitIntervalSec=20s',
      ]),
    )
    const old = unitOf(graph.processes, 'store', { systemdVersion: 253 })
    expect(old).toEqual(expect.arrayContaining(['Restart=always', 'RestartSec=500ms', 'StartLimitIntervalSec=0']))
    expect(old).toContain('# RestartSteps=5')
  })

  it('waits for an external MQTT broker before its users start', () => {
    const unit = unitOf(graph.processes, 'user', {}, { mqtt_broker: 'broker.example:1883' })
    expect(unit.find((line) => line.startsWith('ExecStartPre='))).toMatch(/ broker\.example 1883$/)
    expect(unitOf(graph.processes, 'aside').join()).not.toMatch(/ExecStartPre|MQTT/)
  })

  it('passes program, arguments and variables unchanged, except secrets', async () => {
    const { config, options, folder } = loadGraph(graph)
    const exported = exportOf({ config, options, folder })
    const web = await parseUnit(serviceOf(exported, 'web'))
    expect(web.commands[0]?.slice(1)).toEqual(['--password', '${WEB_ARGUMENT_2}', '%h', '$$HOME', "it's"])
    expect(web.commands[0]?.[0]).toMatch(/^\/.*\/sleep$/)
    const store = await parseUnit(serviceOf(exported, 'store'))
    expect(store.environment).toEqual(expect.arrayContaining(['SHARED=100 %', 'MOTTO=a "b" \\ $c']))
  })
})

test('export systemd: a note says that a unit has no terminal', () => {
  const { notes } = exportOf(loadGraph({ processes: { shell: { command: 'sh', tty: true } } }))
  expect(notes).toEqual([expect.stringMatching(/^plant-shell\.service: a unit has no terminal/)])
})

test('export systemd: a note says that units without a user run as root', () => {
  const exported = exportOf(loadGraph({ processes: { a: sleep } }), { user: null })
  expect(fileOf(exported, 'plant-a.service')).not.toContain('User=')
  expect(exported.notes).toEqual([
    expect.stringMatching(/^no unit has User=, so the processes run as root; .*--user NAME$/),
  ])
})

describe('export systemd: profiles', () => {
  it('says that they have no counterpart', () => {
    const a = { ...sleep, profiles: ['dev'] }
    const { notes } = exportOf(loadGraph({ processes: { a } }, {}, { profiles: ['dev'] }))
    expect(notes).toContainEqual(expect.stringMatching(/a.*: its profiles have no counterpart: it always runs$/))
  })
})

describe('export systemd: secrets (O-42)', () => {
  it('are in no file; a reference and a note say where to put them', () => {
    const exported = exportOf(loadGraph(graph))
    expect(JSON.stringify(exported)).not.toContain('hunter22')
    expect(fileOf(exported, 'plant-store.service')).toContain('\nEnvironmentFile=/etc/plant/store.env\n')
    expect(exported.notes).toContainEqual(
      expect.stringMatching(/^plant-store\.service: DB_PASSWORD: secret.*\/etc\/plant\/store\.env/),
    )
  })

  it('of the whole file are in one file for all units', async () => {
    const exported = exportOf(loadGraph({ env: { DB_PASSWORD: 'hunter22' }, processes: { a: sleep, b: sleep } }))
    for (const name of ['a', 'b']) {
      const lines = fileOf(exported, `plant-${name}.service`).split('\n')
      expect(lines.filter((line) => line.startsWith('EnvironmentFile'))).toEqual([
        'EnvironmentFile=/etc/plant/shared.env',
      ])
    }
    expect(exported.notes).toContainEqual(
      expect.stringMatching(/^plant-a\.service, plant-b\.service: DB_PASSWORD: secret.*\/etc\/plant\/shared\.env/),
    )
    expect(await verifyExport(exported)).toBe('')
  })

  it('do not include the environment of the exporter', () => {
    const exported = exportOf(loadGraph(graph, { EDITOR: 'my-editor' }))
    expect(JSON.stringify(exported)).not.toContain('my-editor')
  })
})

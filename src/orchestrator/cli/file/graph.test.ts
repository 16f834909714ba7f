import { describe, expect, it } from 'vitest'
import { type ProcessSketch, resolvedProcess } from '../../../../test/rig/orchestrator/supervised-graph.ts'
import { describeDependencies, renderDot, renderJson, renderMermaid, renderText } from './graph.ts'
import type { ExternalDependency, ResolvedConfig, ResolvedProcess } from '../../config/resolved.ts'

const broker: ExternalDependency = { host: 'localhost', port: 1883, required: true, providedBy: null }

/** Returns a process with secrets, which no output shows. */
function processOf(name: string, rest: Partial<ProcessSketch> = {}): ResolvedProcess {
  const secrets = { args: ['--password', 'hunter2'], env: { API_TOKEN: 'hunter2' } }
  return resolvedProcess({ name, command: '/bin/never-shown', ...secrets, ...rest })
}

/** A graph in which store and migrate start together, and then http, which also uses the broker. */
const config: ResolvedConfig = {
  control: null,
  path: '/x/commonplace.json',
  files: ['commonplace.json'],
  external: broker,
  processes: [
    processOf('http', {
      usesExternal: true,
      dependsOn: [
        { name: 'store', condition: 'ready' },
        { name: 'migrate', condition: 'completed_successfully' },
      ],
    }),
    processOf('store'),
    processOf('migrate', { kind: 'task' }),
  ],
}

describe('the dependency graph (O-8)', () => {
  it('prints text with one block for each rank', () => {
    expect(renderText(config)).toBe(
      [
        '  1  store',
        '     migrate (task)',
        '  2  http           ← store (ready), migrate (completed_successfully), the MQTT broker at localhost:1883',
        '',
      ].join('\n'),
    )
  })

  it('prints mermaid', () => {
    expect(renderMermaid(config)).toBe(
      [
        'flowchart LR',
        '  p0["http"]',
        '  p1["store"]',
        '  p2(["migrate"])',
        '  broker[("MQTT broker localhost:1883")]',
        '  p1 -->|ready| p0',
        '  p2 -->|completed_successfully| p0',
        '  broker -->|accepts connections| p0',
        '',
      ].join('\n'),
    )
  })

  it('prints dot', () => {
    expect(renderDot(config)).toBe(
      [
        'digraph processes {',
        '  rankdir=LR;',
        '  node [shape=box];',
        '  "http";',
        '  "store";',
        '  "migrate" [style=rounded];',
        '  "MQTT broker localhost:1883" [shape=cylinder];',
        '  "store" -> "http" [label="ready"];',
        '  "migrate" -> "http" [label="completed_successfully"];',
        '  "MQTT broker localhost:1883" -> "http" [label="accepts connections"];',
        '}',
        '',
      ].join('\n'),
    )
  })

  it('prints JSON', () => {
    expect(JSON.parse(renderJson(config))).toEqual({
      processes: [
        {
          name: 'http',
          kind: 'service',
          depends_on: [
            { name: 'store', condition: 'ready' },
            { name: 'migrate', condition: 'completed_successfully' },
          ],
          uses_mqtt_broker: true,
        },
        { name: 'store', kind: 'service', depends_on: [], uses_mqtt_broker: false },
        { name: 'migrate', kind: 'task', depends_on: [], uses_mqtt_broker: false },
      ],
      start_order: [['store', 'migrate'], ['http']],
      mqtt_broker: { address: 'localhost:1883', required: true, provided_by: null },
    })
  })

  it.each([renderText, renderMermaid, renderDot, renderJson])('prints no secret with %o (O-42)', (render) => {
    expect(render(config)).not.toContain('hunter2')
  })

  it('shows a broker that is one of the processes only once', () => {
    const provided = { ...broker, providedBy: 'mqtt' }
    const user = processOf('user', { usesExternal: true, dependsOn: [{ name: 'mqtt', condition: 'ready' }] })
    expect(describeDependencies(user, provided)).toBe(' ← mqtt (ready)')
    expect(renderMermaid({ ...config, external: provided })).not.toContain('broker')
  })
})

describe('instances of one process in the graph (O-8)', () => {
  const instance = (number: number) => processOf(`worker#${number}`, { configName: 'worker' })
  const all = [1, 2, 3].map((number) => ({ name: `worker#${number}`, condition: 'started' as const }))
  const replicated: ResolvedConfig = {
    ...config,
    processes: [processOf('web', { dependsOn: all }), instance(1), instance(2), instance(3)],
  }

  it('are shown as one node', () => {
    expect(renderText(replicated)).toBe('  1  worker ×3\n  2  web       ← worker (started)\n')
    expect(renderMermaid(replicated)).toBe('flowchart LR\n  p0["web"]\n  p1["worker ×3"]\n  p1 -->|started| p0\n')
    expect(renderDot(replicated)).toContain('  "worker" [label="worker ×3"];\n  "worker" -> "web" [label="started"];\n')
    expect(JSON.parse(renderJson(replicated))).toMatchObject({
      processes: [
        { name: 'web', depends_on: [{ name: 'worker', condition: 'started' }] },
        { name: 'worker', instances: ['worker#1', 'worker#2', 'worker#3'] },
      ],
      start_order: [['worker'], ['web']],
    })
  })

  it('are shown by their own name if only one instance runs', () => {
    expect(renderText({ ...config, processes: [instance(2)] })).toBe('  1  worker#2\n')
  })
})

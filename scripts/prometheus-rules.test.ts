import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const ruleFile = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string(),
          expr: z.string(),
          for: z
            .string()
            .regex(/^\d+m$/)
            .optional(),
          labels: z.strictObject({ severity: z.enum(['warning', 'critical']) }),
          annotations: z.strictObject({ summary: z.string(), description: z.string(), docs: z.string() }),
        }),
      ),
    }),
  ),
})

const { groups } = ruleFile.parse(parse(read('deploy/prometheus/ponix.rules.yml')))
const rules = groups.flatMap((group) => group.rules)

/** The metrics of docs/metrics.md and their labels, the metric of Prometheus about each target, and those of the node exporter. */
const documented = new Map<string, readonly string[]>([
  ['up', []],
  ['node_filesystem_avail_bytes', ['mountpoint', 'fstype']],
  ['node_filesystem_size_bytes', ['mountpoint', 'fstype']],
  ...[...read('docs/metrics.md').matchAll(/^\| `(ponix_\w+)` .*\|$/gm)].map(
    ([row, name = '']) => [name, labelsIn(row)] as const,
  ),
])

/** Returns the labels in `Labels: stream, state (ready, stopped).` */
function labelsIn(row: string): readonly string[] {
  const [, list = ''] = /Labels: (.*)\./.exec(row) ?? []
  return list.replaceAll(/\([^)]*\)/g, '').match(/\w+/g) ?? []
}

/** Labels that every series has: those that Prometheus adds, and that of the orchestrator's metrics. */
const COMMON = ['instance', 'job', 'process']

function metricsIn(expr: string): readonly string[] {
  return expr.match(/\b(?:ponix_\w+|node_\w+|up\b)/g) ?? []
}

function labelsOf(expr: string, texts: readonly string[]): readonly string[] {
  const grouped = [...expr.matchAll(/\b(?:by|on|group_left) \(([^)]*)\)/g)].flatMap(
    ([, list = '']) => list.match(/\w+/g) ?? [],
  )
  const selected = [...expr.matchAll(/(\w+)(?:=|!=|=~|!~)"/g)].map(([, label = '']) => label)
  const shown = texts.flatMap((text) => [...text.matchAll(/\$labels\.(\w+)/g)].map(([, label = '']) => label))
  return [...grouped, ...selected, ...shown]
}

function brackets(text: string): string {
  let rest = text.replaceAll(/[^()[\]{}]/g, '')
  for (let before = ''; before !== rest;) {
    before = rest
    rest = rest.replaceAll(/\(\)|\[\]|\{\}/g, '')
  }
  return rest
}

describe('deploy/prometheus/ponix.rules.yml', () => {
  it('has names that are unique', () => {
    const names = rules.map(({ alert }) => alert)
    expect(names).toEqual([...new Set(names)])
  })

  it.each(rules)('$alert uses only metrics and labels of docs/metrics.md', ({ expr, annotations }) => {
    const metrics = metricsIn(expr)
    expect(metrics).not.toEqual([])
    expect(metrics.filter((name) => !documented.has(name))).toEqual([])
    const known = [...COMMON, ...metrics.flatMap((name) => documented.get(name) ?? [])]
    const labels = labelsOf(expr, [annotations.summary, annotations.description])
    expect(labels.filter((label) => !known.includes(label))).toEqual([])
    expect(brackets(expr)).toBe('')
  })

  it.each(rules)('$alert counts the first event of a counter with labels, whose series begins with it', ({ expr }) => {
    const counters = [...expr.matchAll(/\bincrease\((\w+)([^[]*)/g)].map(([, name = '', labels = '']) => [name, labels])
    const withLabels = counters.filter(([name = '']) => (documented.get(name) ?? []).length > 0)
    const missed = withLabels.filter(
      ([name, labels]) => !expr.includes(`${name}${labels} unless ${name}${labels} offset`),
    )
    expect(missed).toEqual([])
  })

  it.each(rules)('$alert names no stream that can be renamed', ({ expr, annotations }) => {
    const environment = read('docs/environment.md')
    const defaults = [...environment.matchAll(/^\| `PONIX_\w+_STREAM` +\| `(\w+)`/gm)].map(([, name = '']) => name)
    expect(defaults).toContain('surplus_envelopes')
    const named = [...expr.matchAll(/stream(?:=|=~)"([^"]*)"/g)].map(([, name]) => name)
    const texts = Object.values(annotations).join(' ')
    expect(named).toEqual([])
    expect(defaults.filter((name) => name.includes('_') && texts.includes(name))).toEqual([])
  })

  it.each(rules)('$alert refers to a section that exists', ({ annotations }) => {
    const [path = '', anchor] = annotations.docs.split('#')
    const headings = [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, text = '']) =>
      text.toLowerCase().replaceAll(' ', '-'),
    )
    expect(headings).toContain(anchor)
  })

  it('B-15, B-18: warns before and after a stream drops unread messages, and of work that is stuck', () => {
    const warned = new Set(rules.flatMap(({ expr }) => metricsIn(expr)))
    const expected = [
      'ponix_nats_ack_pending',
      'ponix_nats_expired_unread_total',
      'ponix_nats_oldest_unread_seconds',
      'ponix_nats_pending',
      'ponix_nats_stream_age_limit_seconds',
      'ponix_nats_stream_bytes',
      'ponix_nats_stream_bytes_limit',
    ]
    expect(expected.filter((name) => !warned.has(name))).toEqual([])
  })

  it('warns of gateways that do not work, refuse messages, or receive those of another gateway', () => {
    const warned = rules.filter(({ annotations }) => annotations.docs.endsWith('#a-gateway-that-does-not-work'))
    const metrics = new Set(warned.flatMap(({ expr }) => metricsIn(expr)))
    expect(metrics).toEqual(
      new Set(['ponix_gateways', 'ponix_gateway_refused_messages_total', 'ponix_gateway_overlaps']),
    )
    const states = warned.flatMap(({ expr }) => [...expr.matchAll(/state=~?"([^"]*)"/g)].map(([, list = '']) => list))
    expect(new Set(states.flatMap((list) => list.split('|')))).toEqual(
      new Set(['starting', 'running', 'interrupted', 'retrying', 'failing', 'failed']),
    )
  })

  it('warns of a disk that is nearly full', () => {
    const warned = rules.filter(({ annotations }) => annotations.docs.endsWith('#a-full-disk'))
    expect(warned.flatMap(({ expr }) => metricsIn(expr))).toContain('node_filesystem_avail_bytes')
  })
})

import { describe, expect, it } from 'vitest'
import { localTime } from '../system/local-time.ts'
import { parsePrefixFormat, Prefixes, prefixKinds } from './prefixes.ts'

const shown = (...names: readonly string[]) => names.map((name) => ({ name, leftOut: null }))
/** 08:30:00.123 of the time zone of the test. */
const TIME = new Date(2026, 0, 31, 8, 30, 0, 123).getTime()

/** Renders the prefixes of the orchestrator and of these processes, which have the pid 42. */
function rendered(names: readonly string[], options: { format?: string; columns?: number; timestamps?: boolean } = {}) {
  const format = parsePrefixFormat(options.format ?? 'name')
  if (format === null) throw new Error('invalid format')
  const prefixes = new Prefixes({ ...options, format })
  prefixes.setProcesses(shown(...names))
  return [null, ...names].map((name) => prefixes.render(name === null ? null : { name, pid: 42 }, false, TIME))
}

describe('Prefixes (O-31)', () => {
  it('have the same width, also on a pipe', () => {
    expect(rendered(['a', 'long-name'])).toEqual(['[orchestrator] ', '[a]            ', '[long-name]    '])
    expect(rendered(['a', 'gateway-orchestrator'])).toEqual([
      '[orchestrator]         ',
      '[a]                    ',
      '[gateway-orchestrator] ',
    ])
  })

  it.each([
    [80, ['[orchestrator]      ', '[a]                 ', '[gateway-of-…ities] ']],
    [60, ['[orchestrator] ', '[a]            ', '[gateway-…ies] ']],
    [40, ['[orch…or] ', '[a]       ', '[gate…es] ']],
    [20, ['[or…r] ', '[a]    ', '[ga…s] ']],
    [1, ['[or…r] ', '[a]    ', '[ga…s] ']],
  ])('take at most a quarter of a terminal with %d columns', (columns, [own = '', short = '', long = '']) => {
    const actual = rendered(['a', 'gateway-of-all-cities'], { columns })
    expect(actual.map((prefix) => prefix.trimEnd())).toEqual([own, short, long].map((prefix) => prefix.trimEnd()))
    expect(new Set(actual.map(({ length }) => length)).size).toBe(1)
  })

  it.each([
    ['pid', ['[orchestrator] ', '[42]           ']],
    ['time', ['[orchestrator] ', '[08:30:00.123] ']],
    ['none', ['[orchestrator] ', '']],
    ['{time} {name} {pid}|', [`08:30:00.123 orchestrator ${process.pid}|`, '08:30:00.123 web 42|']],
    ['→ {name}', ['→ orchestrator ', '→ web          ']],
  ])('have the format %s', (format, expected) => {
    expect(rendered(['web'], { format }).map((text) => text.trimEnd())).toEqual(expected.map((text) => text.trimEnd()))
  })

  it('of another format than none have the same width', () => {
    for (const format of ['name', 'pid', 'time', '{time} {name} {pid}|']) {
      const [own, ...others] = rendered(['web', 'a-long-name'], { format }).map(({ length }) => length)
      expect(others).toEqual(others.map(() => own))
    }
  })

  it.each([
    {},
    { timestamps: true },
    { timestamps: true, columns: 80 },
    { format: 'pid' },
    { format: 'none', timestamps: true },
  ])('know their width with %j', (options) => {
    const prefixes = new Prefixes({ ...options, format: parsePrefixFormat(options.format ?? 'name') ?? [] })
    prefixes.setProcesses(shown('web'))
    expect(prefixes.columns).toBe(prefixes.render({ name: 'web', pid: 42 }, false, TIME).length)
  })

  it('are followed by the time with timestamps, without the date on a terminal', () => {
    expect(rendered(['web'], { timestamps: true })).toEqual([
      `[orchestrator] ${localTime(TIME)} `,
      `[web]          ${localTime(TIME)} `,
    ])
    expect(rendered(['web'], { timestamps: true, columns: 80 })).toEqual([
      '[orchestrator] 08:30:00.123 ',
      '[web]          08:30:00.123 ',
    ])
    expect(rendered(['web'], { timestamps: true, format: 'none' })[1]).toBe(`${localTime(TIME)} `)
  })

  it('keep the colours of the processes when others are added before them', () => {
    const prefixes = new Prefixes()
    prefixes.setProcesses(shown('b', 'c'))
    const before = ['b', 'c'].map((name) => prefixes.render({ name, pid: 1 }, true, 0))
    prefixes.setProcesses(shown('a', 'b', 'c'))
    expect(['b', 'c'].map((name) => prefixes.render({ name, pid: 1 }, true, 0))).toEqual(before)
    expect(before[0]).toBe('\u001b[36m[b]\u001b[39m            ')
    expect(prefixes.render(null, true, 0)).toBe('\u001b[1m[orchestrator] \u001b[22m')
  })

  it('become wider for the processes of a reload, and not for those that are left out', () => {
    const prefixes = new Prefixes()
    prefixes.setProcesses([...shown('a'), { name: 'a-very-long-name-indeed', leftOut: 'was left out' }])
    const prefix = prefixes.of({ name: 'a', pid: 1 }, false)
    expect(prefix()).toBe('[a]            ')
    prefixes.setProcesses(shown('a', 'a-very-long-name-indeed'))
    expect(prefix()).toBe('[a]                       ')
  })
})

describe('parsePrefixFormat (O-31)', () => {
  it.each([...prefixKinds, '{name}', '{time} {pid}', '<{name}>'])('accepts %s', (text) => {
    expect(parsePrefixFormat(text)).not.toBeNull()
  })

  it.each(['', 'names', 'text', '{nme}', '{name} {}', '{ name }'])('rejects %j', (text) => {
    expect(parsePrefixFormat(text)).toBeNull()
  })
})

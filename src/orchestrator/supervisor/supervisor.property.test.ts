import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { FakeChildren } from '../../../test/rig/orchestrator/fake-children.ts'
import { probeOf, SupervisedGraph, type ProcessSketch } from '../../../test/rig/orchestrator/supervised-graph.ts'
import type { DependencyCondition } from '../config/resolved.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const NAMES = ['a', 'b', 'c', 'd', 'e']

/** An event of one process, of the clock, or of the whole graph. */
type Act =
  | { readonly type: 'exit'; readonly which: number; readonly code: number }
  | { readonly type: 'ready' | 'stubborn' | 'broken'; readonly which: number }
  | { readonly type: 'wait'; readonly ms: number }
  | { readonly type: 'stop' | 'kill' }

const which = fc.nat(NAMES.length - 1)
const anyAct: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('exit' as const), which, code: fc.constantFrom(0, 1) }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('ready' as const), which }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('stubborn' as const, 'broken' as const), which }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(1, 50, 400, 3000) }) },
  { weight: 1, arbitrary: fc.constantFrom<Act>({ type: 'stop' }, { type: 'kill' }) },
)

/** Each process depends on some of those before it. */
const anyProcess = (index: number): fc.Arbitrary<ProcessSketch> =>
  fc
    .record({
      kind: fc.constantFrom('service' as const, 'service' as const, 'task' as const),
      probed: fc.boolean(),
      dependsOn: fc.subarray(NAMES.slice(0, index)),
      condition: fc.constantFrom<DependencyCondition>('started', 'ready', 'completed', 'completed_successfully'),
      policy: fc.constantFrom('always' as const, 'on_failure' as const, 'never' as const),
      maxAttempts: fc.constantFrom(1, 3, Infinity),
      whenFailed: fc.constantFrom('isolate' as const, 'stop' as const),
      onDependencyRestart: fc.constantFrom('ignore' as const, 'restart' as const),
    })
    .map(({ probed, policy, maxAttempts, condition, dependsOn, ...rest }) => ({
      ...rest,
      name: NAMES[index] ?? '',
      command: 'fake',
      dependsOn: dependsOn.map((name) => ({ name, condition })),
      readinessProbe: probed ? probeOf({ type: 'log_line', pattern: /^up$/ }) : null,
      startupTimeoutMs: 2000,
      restart: { policy, maxAttempts, backoffMs: 100, maxBackoffMs: 1000 },
      shutdown: { timeoutMs: 500 },
    }))

const anyGraph = fc.tuple(...NAMES.map((_name, index) => anyProcess(index)))

/** Runs a graph with these acts; records every violation of a guarantee. */
class Life {
  readonly breaches: string[] = []
  readonly children: FakeChildren
  readonly graph: SupervisedGraph
  readonly #sketches: readonly ProcessSketch[]
  #hasEnded = false

  constructor(sketches: readonly ProcessSketch[]) {
    this.#sketches = sketches
    this.children = new FakeChildren((act, name, running) => this.#check(act, name, running))
    this.graph = new SupervisedGraph(sketches, { spawn: this.children.spawn })
    void this.graph.ended.then(() => (this.#hasEnded = true))
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  get isStopping(): boolean {
    return this.graph.events.some((event) => event.type === 'stopping')
  }

  async do(act: Act): Promise<void> {
    if (act.type === 'wait') await vi.advanceTimersByTimeAsync(act.ms)
    else if ('which' in act) this.#doTo(act)
    else if (act.type === 'stop') this.graph.supervisor.stop({ type: 'signal', signal: 'SIGTERM' })
    else this.graph.supervisor.kill()
    await this.settle()
  }

  /** Waits until all work that does not depend on the clock is done. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
  }

  #gaveUp(name: string): boolean {
    const { events } = this.graph
    return events.some(
      (event) => event.type === 'process_failed' && event.process === name && event.reason.startsWith('not ready'),
    )
  }

  #doTo(act: Extract<Act, { readonly which: number }>): void {
    const name = NAMES[act.which] ?? ''
    const child = this.children.running.find((one) => one.name === name)
    if (act.type === 'broken') this.children.broken.add(name)
    else if (child === undefined) return
    else if (act.type === 'exit') child.end({ code: act.code, signal: null })
    else if (act.type === 'ready') child.stdout.write('up\n')
    else child.isStubborn = true
  }

  #check(act: 'start' | 'end', name: string, running: readonly string[]): void {
    if (act === 'start') {
      if (running.includes(name)) this.breaches.push(`a second ${name} was started`)
      if (this.isStopping) this.breaches.push(`${name} was started after the stop began`)
      return
    }
    // A process that was not ready in time is stopped out of order, because it failed.
    if (!this.isStopping || this.#gaveUp(name)) return
    const dependents = this.#sketches.filter((sketch) =>
      sketch.dependsOn?.some((dependency) => dependency.name === name),
    )
    const early = dependents.filter((dependent) => running.includes(dependent.name)).map((dependent) => dependent.name)
    if (early.length > 0) this.breaches.push(`${name} was ended before ${early.join(', ')}, which depends on it`)
  }
}

test(
  'no process runs twice or starts after a stop, dependents stop first, and the run ends for every order of events (O-35, O-37)',
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(anyGraph, fc.array(anyAct, { maxLength: 40 }), async (sketches, acts) => {
        const life = new Life(sketches)
        await life.settle()
        const killed = acts.some((act) => act.type === 'kill')
        for (const act of acts) await life.do(act)
        await life.do({ type: 'stop' })
        for (let turn = 0; turn < 40 && !life.hasEnded; turn++) await life.do({ type: 'wait', ms: 250 })
        expect(life.hasEnded).toBe(true)
        expect(life.children.running).toEqual([])
        expect(killed ? life.breaches.filter((breach) => !breach.includes('depends on it')) : life.breaches).toEqual([])
        expect(life.graph.events.at(-1)?.type).toBe('stopped')
        expect(life.graph.events.filter(({ type }) => type === 'internal_error')).toEqual([])
        expect(vi.getTimerCount()).toBe(0)
      }),
      { numRuns: 500 },
    )
  },
)

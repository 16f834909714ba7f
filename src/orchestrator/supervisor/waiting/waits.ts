import {
  describeObstacle,
  describeUnhealthy,
  type ExplainedProcess,
  type ExplainedSnapshot,
  type Obstacle,
  obstaclesOf,
} from './explain.ts'
import { isFinal } from '../rules/state.ts'

/** Something that has to happen before the graph is up, or down: a root cause, whatever the number of processes that wait for it. */
export interface Wait {
  /** The process to wait for; null means the MQTT broker. */
  readonly cause: string | null
  /** The time at which the wait began. */
  readonly since: number
  /** `waiting for …`, or `NAME is still unhealthy: …` if no process waits for it; with the last answer. */
  readonly text: string
  /** The processes that wait for it, directly or not, in the order of the file. */
  readonly waiters: readonly string[]
  /** The milliseconds between two reports; Infinity means that it is reported once. */
  readonly everyMs: number
}

const EVERY_MS = 10_000
/** An unhealthy process for which no other waits was reported as unhealthy already. */
const UNHEALTHY_EVERY_MS = 60_000

/** Returns whether a process may wait, or may be waited for. Cheap: a graph in which all are up or down needs no further check. */
export function isUnsettled({ state, goal, definition }: ExplainedProcess): boolean {
  if (isFinal(state)) return false
  return (
    goal.type === 'down' ||
    !(state.type === 'ready' || (state.type === 'running' && definition.readinessProbe === null))
  )
}

/** Returns all waits of a graph in the order of the file, the MQTT broker first. */
export function waitsOf<P extends ExplainedProcess>(snapshot: ExplainedSnapshot<P>): readonly Wait[] {
  const { graph, external } = snapshot
  const waiters = waitersByCause(snapshot)
  const forBroker = waiters.get(null)
  const broker: readonly Wait[] =
    external.state === 'checking'
      ? [
          {
            cause: null,
            since: external.since,
            text: describeObstacle({ type: 'external' }, snapshot),
            waiters: forBroker?.names ?? [],
            everyMs: EVERY_MS,
          },
        ]
      : []
  return [...broker, ...graph.all.flatMap((managed) => waitFor(managed, waiters.get(managed), snapshot) ?? [])]
}

interface Waiters<P> {
  /** The first obstacle with this cause. */
  readonly obstacle: Obstacle<P>
  readonly names: string[]
}

/** Returns the processes that wait, by the process at the end of each chain; null means the MQTT broker. */
function waitersByCause<P extends ExplainedProcess>(snapshot: ExplainedSnapshot<P>): ReadonlyMap<P | null, Waiters<P>> {
  const causes = new Map<P | null, Waiters<P>>()
  const rootsOf = memoized((managed: P): ReadonlySet<Obstacle<P>> => {
    const roots = new Map<P | null, Obstacle<P>>()
    for (const obstacle of obstaclesOf(managed, snapshot)) {
      const further = obstacle.type === 'external' ? new Set<Obstacle<P>>() : rootsOf(obstacle.managed)
      for (const root of further.size === 0 ? [obstacle] : further) {
        const key = root.type === 'external' ? null : root.managed
        if (!roots.has(key)) roots.set(key, root)
      }
    }
    return new Set(roots.values())
  })
  for (const managed of snapshot.graph.all) {
    for (const obstacle of rootsOf(managed)) {
      const key = obstacle.type === 'external' ? null : obstacle.managed
      const cause = causes.get(key) ?? { obstacle, names: [] }
      causes.set(key, cause)
      cause.names.push(managed.name)
    }
  }
  return causes
}

/** Remembers the results. The processes form no cycle, so a recursive `compute` ends. */
function memoized<P, T>(compute: (item: P) => T): (item: P) => T {
  const known = new Map<P, T>()
  return (item) => {
    const found = known.get(item)
    if (found !== undefined) return found
    const result = compute(item)
    known.set(item, result)
    return result
  }
}

/** Returns the wait for one process; null if there is nothing to report. */
function waitFor<P extends ExplainedProcess>(
  managed: P,
  waiters: Waiters<P> | undefined,
  snapshot: ExplainedSnapshot<P>,
): Wait | null {
  const { name, state, since, goal, definition } = managed
  const obstacle = waiters?.obstacle ?? ({ type: 'dependency', managed, condition: 'ready' } as const)
  const wait = (everyMs: number, text = describeObstacle(obstacle, snapshot)): Wait => ({
    cause: name,
    since,
    text,
    waiters: waiters?.names ?? [],
    everyMs,
  })
  switch (state.type) {
    case 'stopping':
      return wait(EVERY_MS)
    case 'stopped':
      // It stays stopped until a command starts it.
      return waiters === undefined ? null : wait(Infinity)
    case 'running':
      if (waiters !== undefined) return wait(EVERY_MS)
      return definition.readinessProbe === null || goal.type === 'down' ? null : wait(EVERY_MS)
    case 'unhealthy':
      if (waiters !== undefined) return wait(EVERY_MS)
      return goal.type === 'down' ? null : wait(UNHEALTHY_EVERY_MS, describeUnhealthy(managed, snapshot.now))
    case 'ready':
    case 'starting':
    case 'backoff':
      // Without a waiter, the events of the process have said everything.
      return waiters === undefined ? null : wait(EVERY_MS)
    case 'waiting':
    case 'failed':
    case 'completed':
    case 'skipped':
    case 'scheduled':
    case 'disabled':
      return null
  }
}

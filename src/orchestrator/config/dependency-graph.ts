import { nearestName } from './nearest-name.ts'

/** A process. Names are unique; nodes are in the order of the file. */
export interface GraphNode {
  readonly name: string
  readonly dependsOn: readonly { readonly name: string }[]
}

export interface GraphProblem {
  readonly type: 'unknown_dependency' | 'self_dependency' | 'cycle'
  /** The process and its dependency, or the processes of a cycle, of which the first and last are equal. */
  readonly names: readonly [string, string, ...string[]]
  readonly message: string
}

/** Returns all unknown dependencies, self-dependencies, and cycles: at least one for each process in a cycle. */
export function findGraphProblems(nodes: readonly GraphNode[]): readonly GraphProblem[] {
  const known = new Set(nodes.map(({ name }) => name))
  const problems = nodes.flatMap((node) => dependencyNames(node).flatMap((to) => edgeProblem(node.name, to, known)))
  return [...problems, ...findCycles(nodes)]
}

function edgeProblem(from: string, to: string, known: ReadonlySet<string>): readonly GraphProblem[] {
  if (to === from) {
    return [{ type: 'self_dependency', names: [from, to], message: `process "${from}" depends on itself` }]
  }
  if (known.has(to)) return []
  const nearest = nearestName(
    to,
    [...known].filter((name) => name !== from),
  )
  const hint = nearest === null ? '' : `; did you mean "${nearest}"?`
  const message = `process "${from}" depends on "${to}", which does not exist${hint}`
  return [{ type: 'unknown_dependency', names: [from, to], message }]
}

function dependencyNames({ dependsOn }: GraphNode): readonly string[] {
  return [...new Set(dependsOn.map(({ name }) => name))]
}

/** Returns a topological order, ties in the order of the file. Processes of a cycle, and their dependents, are omitted. */
export function startOrder<N extends GraphNode>(nodes: readonly N[]): readonly N[] {
  const known = new Set(nodes.map(({ name }) => name))
  const ordered = new Set<string>()
  const left = [...nodes]
  const order: N[] = []
  for (;;) {
    const index = left.findIndex(({ dependsOn }) =>
      dependsOn.every(({ name }) => ordered.has(name) || !known.has(name)),
    )
    const [next] = index === -1 ? [] : left.splice(index, 1)
    if (next === undefined) return order
    ordered.add(next.name)
    order.push(next)
  }
}

/** Returns the ranks of processes that start together: each depends only on earlier ranks. A rank is in the order of the file. */
export function startRanks<N extends GraphNode>(nodes: readonly N[]): readonly (readonly N[])[] {
  const rankOf = new Map<string, number>()
  for (const { name, dependsOn } of startOrder(nodes)) {
    rankOf.set(name, Math.max(-1, ...dependsOn.map((dependency) => rankOf.get(dependency.name) ?? -1)) + 1)
  }
  const ranks: N[][] = []
  for (const node of nodes) {
    const rank = rankOf.get(node.name)
    if (rank !== undefined) (ranks[rank] ??= []).push(node)
  }
  return ranks
}

/** Returns `start` and everything reachable from it. */
export function reachable<T>(start: Iterable<T>, next: (item: T) => Iterable<T>): Set<T> {
  const found = new Set(start)
  for (const item of found) {
    for (const further of next(item)) found.add(further)
  }
  return found
}

/** Returns the dependents of every process, in the order of the file. */
export function dependentsOf(nodes: readonly GraphNode[]): ReadonlyMap<string, readonly string[]> {
  const dependents = new Map<string, string[]>(nodes.map((node) => [node.name, []]))
  for (const node of nodes) for (const name of dependencyNames(node)) dependents.get(name)?.push(node.name)
  return dependents
}

/** Returns the shortest cycle through each process that is in no earlier cycle. Self-dependencies are ignored. */
function findCycles(nodes: readonly GraphNode[]): readonly GraphProblem[] {
  const withoutSelf = nodes.map(({ name, dependsOn }) => ({
    name,
    dependsOn: dependsOn.filter((dependency) => dependency.name !== name),
  }))
  const startable = new Set(startOrder(withoutSelf))
  const blocked = new Map(withoutSelf.filter((node) => !startable.has(node)).map((node) => [node.name, node]))
  const reported = new Set<string>()
  const problems: GraphProblem[] = []
  for (const name of blocked.keys()) {
    const names = reported.has(name) ? null : shortestCycle(name, blocked)
    if (names === null) continue
    for (const member of names) reported.add(member)
    problems.push({ type: 'cycle', names, message: `dependency cycle: ${names.join(' → ')}` })
  }
  return problems
}

/** Searches breadth-first along the dependencies back to `start`. */
function shortestCycle(start: string, nodes: ReadonlyMap<string, GraphNode>): GraphProblem['names'] | null {
  const cameFrom = new Map<string, string>()
  const queue = [start]
  for (const name of queue) {
    for (const { name: dependency } of nodes.get(name)?.dependsOn ?? []) {
      if (dependency === start) return pathTo(start, name, cameFrom)
      if (!nodes.has(dependency) || cameFrom.has(dependency)) continue
      cameFrom.set(dependency, name)
      queue.push(dependency)
    }
  }
  return null
}

function pathTo(start: string, last: string, cameFrom: ReadonlyMap<string, string>): GraphProblem['names'] {
  const path: string[] = []
  for (let name: string | undefined = last; name !== undefined && name !== start; name = cameFrom.get(name)) {
    path.unshift(name)
  }
  const [second, ...rest] = [...path, start]
  return [start, second, ...rest]
}

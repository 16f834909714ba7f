import { nearestName } from './errors.ts'

/** A process. Names are unique; nodes are in the order of the file. */
export interface GraphNode {
  readonly name: string
  readonly dependsOn: readonly { readonly name: string }[]
}

/** The first and last name of a cycle are equal. */
export type GraphProblem =
  | {
      readonly type: 'unknown_dependency'
      readonly process: string
      readonly dependency: string
      readonly suggestion: string | null
    }
  | { readonly type: 'self_dependency'; readonly process: string }
  | { readonly type: 'cycle'; readonly cycle: readonly string[] }

/** All unknown dependencies, self-dependencies, and cycles: at least one for each process in a cycle. */
export function findGraphProblems(nodes: readonly GraphNode[]): readonly GraphProblem[] {
  const byName = new Map(nodes.map((node) => [node.name, node]))
  const problems: GraphProblem[] = []
  for (const { name, dependsOn } of nodes) {
    for (const dependency of new Set(dependsOn.map((each) => each.name))) {
      if (dependency === name) problems.push({ type: 'self_dependency', process: name })
      else if (!byName.has(dependency)) {
        const others = [...byName.keys()].filter((other) => other !== name)
        const suggestion = nearestName(dependency, others)
        problems.push({ type: 'unknown_dependency', process: name, dependency, suggestion })
      }
    }
  }
  return [...problems, ...findCycles(nodes)]
}

export function describeGraphProblem(problem: GraphProblem): string {
  if (problem.type === 'cycle') return `dependency cycle: ${problem.cycle.join(' → ')}`
  if (problem.type === 'self_dependency') return `process "${problem.process}" depends on itself`
  const hint = problem.suggestion === null ? '' : `; did you mean "${problem.suggestion}"?`
  return `process "${problem.process}" depends on "${problem.dependency}", which does not exist${hint}`
}

/** Topological order, ties in the order of the file. Processes of a cycle, and their dependents, are left out. */
export function startOrder(nodes: readonly GraphNode[]): readonly string[] {
  const names = nodes.map((node) => node.name)
  const indexOf = new Map(names.map((name, index) => [name, index]))
  const dependents = dependentsOf(nodes)
  const waitsFor = nodes.map((node) => existingDependencies(node, indexOf).length)
  const next = waitsFor.flatMap((count, index) => (count === 0 ? [index] : []))
  const order: string[] = []
  for (let first = next.shift(); first !== undefined; first = next.shift()) {
    const name = names[first] ?? ''
    order.push(name)
    for (const dependent of dependents.get(name) ?? []) {
      const index = indexOf.get(dependent) ?? 0
      const left = (waitsFor[index] ?? 0) - 1
      waitsFor[index] = left
      if (left === 0) insertSorted(next, index)
    }
  }
  return order
}

/** The processes that start together: each rank depends only on earlier ranks. Within a rank, the order of the file. */
export function startRanks(nodes: readonly GraphNode[]): readonly (readonly string[])[] {
  const byName = new Map(nodes.map((node) => [node.name, node]))
  const rankOf = new Map<string, number>()
  const ranks: string[][] = []
  for (const name of startOrder(nodes)) {
    const dependencies = byName.get(name)?.dependsOn ?? []
    rankOf.set(name, Math.max(-1, ...dependencies.map((dependency) => rankOf.get(dependency.name) ?? -1)) + 1)
  }
  for (const { name } of nodes) {
    const rank = rankOf.get(name)
    if (rank !== undefined) (ranks[rank] ??= []).push(name)
  }
  return ranks
}

/** The dependents of every process, in the order of the file. */
export function dependentsOf(nodes: readonly GraphNode[]): ReadonlyMap<string, readonly string[]> {
  const dependents = new Map<string, string[]>(nodes.map((node) => [node.name, []]))
  for (const { name, dependsOn } of nodes) {
    for (const dependency of new Set(dependsOn.map((each) => each.name))) dependents.get(dependency)?.push(name)
  }
  return dependents
}

function existingDependencies(node: GraphNode, known: ReadonlyMap<string, unknown>): readonly string[] {
  return [...new Set(node.dependsOn.map((each) => each.name))].filter((name) => known.has(name))
}

function insertSorted(list: number[], value: number): void {
  const after = list.findIndex((other) => other > value)
  list.splice(after === -1 ? list.length : after, 0, value)
}

/** The shortest cycle through each process that is in no cycle found before. Self-dependencies are ignored. */
function findCycles(nodes: readonly GraphNode[]): readonly GraphProblem[] {
  const withoutSelf = nodes.map(({ name, dependsOn }) => ({
    name,
    dependsOn: dependsOn.filter((dependency) => dependency.name !== name),
  }))
  const startable = new Set(startOrder(withoutSelf))
  const blocked = new Map(withoutSelf.filter(({ name }) => !startable.has(name)).map((node) => [node.name, node]))
  const reported = new Set<string>()
  const problems: GraphProblem[] = []
  for (const name of blocked.keys()) {
    const cycle = reported.has(name) ? null : shortestCycle(name, blocked)
    if (cycle === null) continue
    for (const member of cycle) reported.add(member)
    problems.push({ type: 'cycle', cycle })
  }
  return problems
}

/** Breadth-first search along the dependencies back to `start`. */
function shortestCycle(start: string, nodes: ReadonlyMap<string, GraphNode>): readonly string[] | null {
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

function pathTo(start: string, last: string, cameFrom: ReadonlyMap<string, string>): readonly string[] {
  const path = [start]
  for (let name: string | undefined = last; name !== undefined && name !== start; name = cameFrom.get(name)) {
    path.unshift(name)
  }
  return [start, ...path.filter((name) => name !== start), start]
}

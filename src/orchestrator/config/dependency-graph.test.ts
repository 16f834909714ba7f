import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dependentsOf, findGraphProblems, type GraphNode, startOrder, startRanks } from './dependency-graph.ts'

/** `graph({ a: ['b'], b: [] })`: a depends on b. */
function graph(shape: Record<string, readonly string[]>): readonly GraphNode[] {
  return Object.entries(shape).map(([name, dependencies]) => ({
    name,
    dependsOn: dependencies.map((dependency) => ({ name: dependency })),
  }))
}

const problemsOf = (shape: Record<string, readonly string[]>) =>
  findGraphProblems(graph(shape)).map(({ message }) => message)

/** An acyclic graph in a shuffled file order: dependencies point to lower numbers only. */
const acyclic = fc
  .integer({ min: 1, max: 12 })
  .chain((size) =>
    fc.record({
      edges: fc.array(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), { maxLength: 30 }),
      order: fc.shuffledSubarray(
        Array.from({ length: size }, (_, index) => index),
        { minLength: size },
      ),
    }),
  )
  .map(({ edges, order }): readonly GraphNode[] =>
    order.map((number) => ({
      name: `p${number}`,
      dependsOn: edges.filter(([from, to]) => from === number && to < from).map(([, to]) => ({ name: `p${to}` })),
    })),
  )

describe('findGraphProblems (O-21)', () => {
  it('names a missing dependency and the nearest name', () => {
    expect(problemsOf({ store: [], http: ['stoer'] })).toEqual([
      'process "http" depends on "stoer", which does not exist; did you mean "store"?',
    ])
    expect(problemsOf({ store: [], http: ['zookeeper'] })).toEqual([
      'process "http" depends on "zookeeper", which does not exist',
    ])
  })

  it('distinguishes names from members of objects', () => {
    expect(problemsOf({ a: ['constructor'], b: ['__proto__'] })).toHaveLength(2)
    expect(problemsOf({ constructor: [], b: ['constructor'] })).toEqual([])
  })

  it('prints a complete cycle', () => {
    expect(problemsOf({ a: ['b'], b: ['c'], c: ['a'] })).toEqual(['dependency cycle: a → b → c → a'])
    expect(problemsOf({ x: ['a'], a: ['b'], b: ['a'], y: ['x'] })).toEqual(['dependency cycle: a → b → a'])
  })

  it('reports a self-dependency once', () => {
    expect(problemsOf({ a: ['a'] })).toEqual(['process "a" depends on itself'])
  })

  it('reports every problem', () => {
    expect(problemsOf({ a: ['b'], b: ['a'], c: ['d'], d: ['c'], e: ['e', 'f'] })).toEqual([
      'process "e" depends on itself',
      'process "e" depends on "f", which does not exist',
      'dependency cycle: a → b → a',
      'dependency cycle: c → d → c',
    ])
  })

  it('finds both cycles of a figure eight', () => {
    const cycles = problemsOf({ a: ['b', 'c'], b: ['a'], c: ['a'] })
    expect(cycles).toEqual(['dependency cycle: a → b → a', 'dependency cycle: c → a → c'])
  })

  it('finds no problem in an acyclic graph, and a real cycle after one edge closes it', () => {
    fc.assert(
      fc.property(acyclic, fc.nat(), (nodes, seed) => {
        expect(findGraphProblems(nodes)).toEqual([])
        const withDependency = nodes.filter((node) => node.dependsOn.length > 0)
        const from = withDependency[seed % Math.max(1, withDependency.length)]
        const to = from?.dependsOn[0]?.name
        if (from === undefined || to === undefined) return
        const closed = nodes.map((node) =>
          node.name === to ? { name: to, dependsOn: [...node.dependsOn, { name: from.name }] } : node,
        )
        const problems = findGraphProblems(closed)
        expect(problems.length).toBeGreaterThan(0)
        for (const problem of problems) {
          expect(problem.type).toBe('cycle')
          expect(problem.names.at(0)).toBe(problem.names.at(-1))
          expect(new Set(problem.names).size).toBe(problem.names.length - 1)
          problem.names.slice(1).forEach((dependency, index) => {
            const dependent = closed.find((node) => node.name === problem.names[index])
            expect(dependent?.dependsOn.map((each) => each.name)).toContain(dependency)
          })
        }
      }),
    )
  })

  it('finds a cycle of 20,000 processes', () => {
    const chain = Array.from({ length: 20_000 }, (_, index) => ({
      name: `p${index}`,
      dependsOn: [{ name: `p${(index + 1) % 20_000}` }],
    }))
    expect(findGraphProblems(chain)).toHaveLength(1)
  })
})

const namesOf = (nodes: readonly GraphNode[]) => nodes.map(({ name }) => name)

describe('the start order (O-22)', () => {
  it('keeps the order of the file for processes of one rank', () => {
    expect(namesOf(startOrder(graph({ z: [], a: [], m: [] })))).toEqual(['z', 'a', 'm'])
    expect(namesOf(startOrder(graph({ a: [], b: ['a'], c: [] })))).toEqual(['a', 'b', 'c'])
    expect(namesOf(startOrder(graph({ http: ['store', 'cache'], cache: [], store: ['cache'] })))).toEqual([
      'cache',
      'store',
      'http',
    ])
  })

  it('groups the processes that start together into ranks', () => {
    const nodes = graph({ http: ['store', 'cache'], cache: [], store: [], log: [], page: ['http', 'log'] })
    expect(startRanks(nodes).map(namesOf)).toEqual([['cache', 'store', 'log'], ['http'], ['page']])
  })

  it('contains every process once, after all of its dependencies', () => {
    fc.assert(
      fc.property(acyclic, (nodes) => {
        const order = namesOf(startOrder(nodes))
        expect([...order].sort()).toEqual(nodes.map((node) => node.name).sort())
        for (const { name, dependsOn } of nodes) {
          for (const dependency of dependsOn) expect(order.indexOf(dependency.name)).toBeLessThan(order.indexOf(name))
        }
      }),
    )
  })

  it('chooses the first possible process in the order of the file', () => {
    fc.assert(
      fc.property(acyclic, (nodes) => {
        const started = new Set<string>()
        for (const { name } of startOrder(nodes)) {
          const possible = nodes.filter(
            (node) => !started.has(node.name) && node.dependsOn.every((dependency) => started.has(dependency.name)),
          )
          expect(name).toBe(possible[0]?.name)
          started.add(name)
        }
      }),
    )
  })

  it('puts a process in the rank after the last of its dependencies', () => {
    fc.assert(
      fc.property(acyclic, (nodes) => {
        const ranks = startRanks(nodes).map(namesOf)
        const rankOf = (name: string) => ranks.findIndex((rank) => rank.includes(name))
        expect(ranks.flat()).toHaveLength(nodes.length)
        for (const { name, dependsOn } of nodes) {
          expect(rankOf(name)).toBe(Math.max(-1, ...dependsOn.map((dependency) => rankOf(dependency.name))) + 1)
        }
      }),
    )
  })

  it('dependentsOf reverses the dependencies', () => {
    fc.assert(
      fc.property(acyclic, (nodes) => {
        const dependents = dependentsOf(nodes)
        for (const a of nodes) {
          for (const b of nodes) {
            const depends = b.dependsOn.some((dependency) => dependency.name === a.name)
            expect(dependents.get(a.name)?.includes(b.name)).toBe(depends)
          }
        }
      }),
    )
  })
})

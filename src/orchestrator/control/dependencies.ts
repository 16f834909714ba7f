import { reachable } from '../config/dependency-graph.ts'
import { leftOutBy } from '../config/resolve/selection.ts'
import type { GraphProcess, ProcessGraph } from '../supervisor/rules/graph.ts'

/**
 * Returns the processes and everything that they need and that is not up: what was stopped, has failed or was left out. A process
 * that the file or `--disable` excludes stays as it is, and one with profiles too, unless it shares a profile with `chosen`.
 */
export function withDependencies<P extends GraphProcess>(graph: ProcessGraph<P>, chosen: readonly P[]): readonly P[] {
  const profiles = new Set(chosen.flatMap(({ definition }) => definition.profiles))
  const isNeeded = ({ state, definition }: P): boolean => {
    if (state.type !== 'disabled') return true
    const { leftOut } = definition
    if (leftOut === leftOutBy.disable || leftOut === leftOutBy.file) return false
    return definition.profiles.length === 0 || definition.profiles.some((profile) => profiles.has(profile))
  }
  const needed = (managed: P) =>
    graph.dependenciesOf(managed).flatMap((dependency) => {
      const process = graph.get(dependency.name)
      if (process === null || !isNeeded(process)) return []
      const isMet = process.state.type !== 'disabled' && graph.statusOf(dependency).type === 'met'
      return isMet ? [] : [process]
    })
  return [...reachable(chosen, needed)]
}

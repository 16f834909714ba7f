import { onTestFinished } from 'vitest'
import { ChildRig } from './steerable-child.ts'
import { SupervisedGraph, type GraphOptions, type ProcessSketch } from './supervised-graph.ts'

/** A rig of steerable children that ends with the test. */
export async function openRig(): Promise<ChildRig> {
  const rig = await ChildRig.open()
  onTestFinished(() => rig[Symbol.asyncDispose]())
  return rig
}

/** A supervisor that runs these processes until the test is over. */
export function supervise(processes: readonly ProcessSketch[], options?: GraphOptions): SupervisedGraph {
  const graph = new SupervisedGraph(processes, options)
  onTestFinished(() => graph[Symbol.asyncDispose]())
  return graph
}

import { afterAll, expect, test } from 'vitest'
import { Graph } from '../rig/orchestrator/graph.ts'

let first: Graph
let second: Graph | null = null

afterAll(async () => {
  await second?.[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
})

test('O-38 SIGKILL of the orchestrator leaves no process of the default graph, and the next start succeeds', async () => {
  first = await Graph.start()
  await first.line(/^\[orchestrator\] .*all .*ready/)
  first.signal('SIGKILL')
  expect(await first.ended()).toBe('SIGKILL')

  second = await Graph.start({ again: first })
  await second.line(/^\[orchestrator\] .*all .*ready/)
  expect(await first.survivors()).toEqual([])
  second.signal('SIGINT')
  expect(await second.ended()).toBe(0)
  expect(await second.survivors()).toEqual([])
})

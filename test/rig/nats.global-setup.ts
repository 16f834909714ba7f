import type { TestProject } from 'vitest/node'
import { startNats } from './servers.ts'

/** One real server for all test files of the project `nats`. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startNats()
  project.provide('nats', {
    url: server.url,
  })
  return async () => server[Symbol.asyncDispose]()
}

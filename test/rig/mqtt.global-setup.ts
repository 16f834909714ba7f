import type { TestProject } from 'vitest/node'
import { startMqtt } from './servers.ts'

/** One real server for all test files of the project `mqtt`. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startMqtt()
  project.provide('mqtt', {
    host: server.host,
    port: server.port,
  })
  return async () => server[Symbol.asyncDispose]()
}

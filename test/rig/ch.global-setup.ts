import type { TestProject } from 'vitest/node'
import { startClickHouse } from './servers.ts'

/** One real server for all test files of the project `ch`. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startClickHouse()
  project.provide('clickhouse', {
    url: server.url,
    username: server.username,
    password: server.password,
    database: server.database,
  })
  return async () => server[Symbol.asyncDispose]()
}

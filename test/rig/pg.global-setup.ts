import type { TestProject } from 'vitest/node'
import { startPostgres } from './servers.ts'

/** One real server for all test files of the project `pg`. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres()
  project.provide('postgres', {
    host: server.host,
    port: server.port,
    username: server.username,
    password: server.password,
    database: server.database,
  })
  return async () => server[Symbol.asyncDispose]()
}

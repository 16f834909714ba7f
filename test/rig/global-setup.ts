import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { projectRoot } from './program.ts'
import { startClickHouse, startMqtt, startNats, startPostgres, type ServerControl } from './servers.ts'

/**
 * Builds `dist/` if it is not current, because tests start its programs, and provides a folder and the server that all files of a project share.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await promisify(execFile)(process.execPath, [join(projectRoot, 'scripts/setup.mjs')])
  const folder = mkdtempSync(join(tmpdir(), 'ponix-tests-'))
  project.provide('folder', folder)
  const server = await startServerOf(project)
  return async () => {
    await server?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function startServerOf(project: TestProject): Promise<ServerControl | undefined> {
  switch (project.name) {
    case 'pg': {
      const server = await startPostgres()
      const { host, port, username, password, database } = server
      project.provide('postgres', { host, port, username, password, database })
      return server
    }
    case 'nats': {
      const server = await startNats()
      project.provide('nats', { url: server.url })
      return server
    }
    case 'ch': {
      const server = await startClickHouse()
      const { url, username, password, database } = server
      project.provide('clickhouse', { url, username, password, database })
      return server
    }
    case 'mqtt': {
      const server = await startMqtt()
      project.provide('mqtt', { host: server.host, port: server.port })
      return server
    }
    default:
      return undefined
  }
}

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { provisionPackage, type Provisioning } from '../provision.ts'
import type { RunServer } from '../server.ts'
import { stopOrphan } from '../server-process.ts'
import { runChdb } from './chdb.ts'
import { findServer, runServer, serverIn } from './server-on-path.ts'

/**
 * Runs ClickHouse on loopback, with one user and one database: a server program, or the engine of chdb in this process. Each has its
 * own data folder, because the one may be older than the other and unable to read its data.
 */
export const runClickHouse: RunServer = async (options, signal) => {
  const { dataDir, provisionDir, logger } = options
  await stopOrphan(dataDir, 'SIGTERM')
  const server = { name: 'ClickHouse server on PATH', path: join(dataDir, 'server') }
  const engine = { name: 'embedded engine', path: join(dataDir, 'engine') }
  const program = serverIn(provisionDir)
  const [used, unused] = program === undefined ? [engine, server] : [server, engine]
  if (existsSync(unused.path)) {
    logger.warn(
      `the ${used.name} has its data in ${used.path}; the data of the ${unused.name} in ${unused.path} is not used`,
    )
  }
  await (program === undefined ? runChdb(options, used.path, signal) : runServer(options, program, used.path, signal))
}

/** Returns the folder of a ClickHouse server on PATH, else of chdb: ClickHouse's engine as a library. */
export async function provideClickHouse(provisioning: Provisioning): Promise<string> {
  return (await findServer(provisioning)) ?? (await provisionPackage(provisioning, 'chdb', '3.4.0'))
}

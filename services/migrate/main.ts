import { parseEnvironment } from '../../src/runner/environment.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { runMain } from '../../src/runner/startup.ts'
import { migrateCommand } from './command.ts'
import { migrateEnvironment } from './environment.ts'
import { MigrationError } from '../../src/domain/errors.ts'

await runMain('ponix-migrate', async () => {
  const environment = parseEnvironment('ponix-migrate', migrateEnvironment)
  const interrupted = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => interrupted.abort(new MigrationError(`stopped by ${name} before the end`)))
  }
  const reach = { environment, logger: createLogger('migrate'), signal: interrupted.signal }
  await migrateCommand(reach).parseAsync()
})

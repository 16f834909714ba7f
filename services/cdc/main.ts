import { parseEnvironment } from '../../src/runner/environment.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { runService } from '../../src/runner/runner.ts'
import { runMain } from '../../src/runner/startup.ts'
import { openCdc } from './cdc.ts'
import { cdcCommand } from './command.ts'
import { cdcEnvironment } from './environment.ts'

await runMain('cdc', async () => {
  const environment = parseEnvironment('cdc', cdcEnvironment)
  const logger = createLogger('cdc')
  const run = async (): Promise<never> =>
    runService({ service: 'cdc', logger, ...(await openCdc(environment, logger)) })
  await cdcCommand(environment, run).parseAsync()
})

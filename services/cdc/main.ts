import { createLogger } from '../../src/runner/logger.ts'
import { runProgram } from '../../src/runner/program.ts'
import { runService } from '../../src/runner/runner.ts'
import { openCdc } from './cdc.ts'
import { addCdcCommands } from './command.ts'
import { cdcEnvironment } from './environment.ts'

await runProgram({
  name: 'ponix-cdc',
  description: 'Publishes the committed changes of PostgreSQL as events in JetStream.',
  environment: cdcEnvironment,
  async run(environment) {
    const logger = createLogger('cdc')
    await runService({ service: 'cdc', logger, ...(await openCdc(environment, logger)) })
  },
  addCommands: addCdcCommands,
})

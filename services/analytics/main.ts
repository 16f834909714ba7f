import { createLogger } from '../../src/runner/logger.ts'
import { runProgram } from '../../src/runner/program.ts'
import { runService } from '../../src/runner/runner.ts'
import { createAnalytics } from './analytics.ts'
import { openClients, analyticsEnvironment, type AnalyticsEnvironment } from './clients.ts'
import { addDeadLetterCommands } from './dead-letter-commands.ts'
import { observePool } from './metrics.ts'
import { addPurgeCommand } from './purge/purge-command.ts'
import { addRedecodeCommand } from './redecode/redecode-command.ts'

const workerUrl = new URL('./analytics-worker.js', import.meta.url)

await runProgram({
  name: 'ponix-analytics',
  description: 'Converts the payloads of devices to JSON and writes the JSON to ClickHouse.',
  environment: analyticsEnvironment,
  run: runAnalytics,
  addCommands(program, environment) {
    addDeadLetterCommands(program, environment)
    addPurgeCommand(program, environment)
    addRedecodeCommand(program, environment, workerUrl)
  },
})

async function runAnalytics(environment: AnalyticsEnvironment): Promise<never> {
  const logger = createLogger('analytics')
  const clients = await openClients(environment, logger)
  const analytics = await createAnalytics({ ...clients, environment, workerUrl, logger })
  observePool(analytics.pool)
  return await runService({
    service: 'analytics',
    logger,
    processes: analytics.processes,
    closers: { ...clients.closers, evaluation: analytics.close },
    readiness: { ...clients.readiness, evaluation: analytics.ready },
  })
}

import { parseEnvironment } from '../../src/runner/environment.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { runService } from '../../src/runner/runner.ts'
import { runMain } from '../../src/runner/startup.ts'
import { createAnalytics } from './analytics.ts'
import { openClients, analyticsEnvironment, type AnalyticsEnvironment } from './clients.ts'
import { analyticsCommand } from './command.ts'
import { observePool } from './metrics.ts'

await runMain('analytics', async () => {
  const environment = parseEnvironment('analytics', analyticsEnvironment)
  await analyticsCommand(environment, () => runAnalytics(environment)).parseAsync()
})

async function runAnalytics(environment: AnalyticsEnvironment): Promise<never> {
  const logger = createLogger('analytics')
  const clients = await openClients(environment, logger)
  const workerUrl = new URL('./analytics-worker.js', import.meta.url)
  const analytics = await createAnalytics({ ...clients, environment, workerUrl, logger })
  observePool(analytics.pool)
  return await runService({
    service: 'analytics',
    logger,
    processes: analytics.processes,
    closers: { ...clients.closers, evaluation: analytics.close },
    readiness: { ...clients.readiness, evaluation: analytics.ready },
    routes: { '/devices': () => analytics.lastSeen.list() },
  })
}

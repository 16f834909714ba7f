import { constants } from 'node:os'
import { parseDuration } from '../../../config/duration.ts'
import { processSchema } from '../../../config/schema/process.ts'
import type { ServiceContext } from './context.ts'
import type { Service } from './schema.ts'

type Restart = Readonly<Record<string, string | number>>

/** Parses a duration; adds a note if it is not one. */
export function durationOf(
  text: string | undefined,
  key: string,
  { note }: Pick<ServiceContext, 'note'>,
): number | null {
  if (text === undefined) return null
  const parsed = text === '0' ? 0 : parseDuration(text)
  if (parsed === null) note(`${key} ${text} is not a duration such as 1m30s; left out`)
  return parsed
}

/** Translates `deploy.restart_policy`, which takes precedence, or `restart`. */
export function restartOf(context: ServiceContext, isTask: boolean): object {
  const { deploy, restart } = context.service
  const found =
    deploy?.restart_policy === undefined ? ownPolicy(restart) : deployedPolicy(deploy.restart_policy, context)
  if (!isTask) return Object.keys(found).length === 0 ? {} : { restart: found }
  const { policy = 'always' } = found
  if (policy === 'always') context.note('restart left out, because other services wait for its end')
  return policy === 'on_failure' && isGiven(context.service) ? { restart: found } : {}
}

function isGiven({ deploy, restart }: Service): boolean {
  return restart !== undefined || deploy?.restart_policy !== undefined
}

/** Compose leaves a service without `restart` stopped. Here it restarts after a failure, as is usual in development. */
function ownPolicy(restart: Service['restart']): Restart {
  if (restart === undefined) return { policy: 'on_failure' }
  if (restart === 'no' || restart === false) return { policy: 'never' }
  const [found, limit] = /^on-failure(?::(\d+))?$/.exec(String(restart)) ?? []
  if (found === undefined) return {}
  return { policy: 'on_failure', ...(limit === undefined ? {} : { max_attempts: Number(limit) }) }
}

const conditions = new Map([
  ['none', 'never'],
  ['on-failure', 'on_failure'],
  ['any', 'always'],
])

type DeployedPolicy = NonNullable<NonNullable<Service['deploy']>['restart_policy']>

function deployedPolicy(deployed: DeployedPolicy, context: ServiceContext): Restart {
  const { condition = 'any', delay, max_attempts: limit, window } = deployed
  const policy = conditions.get(condition) ?? 'always'
  if (policy === 'never') return { policy }
  const delayMs = durationOf(delay, 'deploy.restart_policy.delay', context)
  const windowMs = durationOf(window, 'deploy.restart_policy.window', context)
  return {
    ...(policy === 'always' ? {} : { policy }),
    ...(delayMs === null ? {} : { backoff_ms: delayMs, max_backoff_ms: delayMs }),
    ...(limit === undefined ? {} : { max_attempts: limit }),
    ...(limit === undefined || windowMs === null || windowMs === 0 ? {} : { window_ms: windowMs }),
  }
}

/** Translates `stop_signal` and `stop_grace_period`; `defaultMs` applies without the latter. */
export function shutdownOf(context: ServiceContext, defaultMs: number | null): object {
  const { stop_signal: wanted, stop_grace_period: period } = context.service
  const signal = wanted === undefined ? undefined : signalName(String(wanted))
  const isKnown = processSchema.safeParse({ command: 'x', shutdown: { signal } }).success
  if (!isKnown) context.note(`stop_signal ${wanted} is not supported; set "shutdown": {"signal": …}`)
  const timeout = durationOf(period, 'stop_grace_period', context) ?? defaultMs
  const shutdown = {
    ...(isKnown && signal !== undefined ? { signal } : {}),
    ...(timeout === null ? {} : { timeout_ms: timeout }),
  }
  return Object.keys(shutdown).length === 0 ? {} : { shutdown }
}

/** Returns `SIGINT` for `int`, `SIGINT` or `2`. */
function signalName(text: string): string {
  const byNumber = Object.entries(constants.signals).find(([, number]) => String(number) === text)
  return byNumber?.[0] ?? text.toUpperCase().replace(/^(?!SIG)/, 'SIG')
}

import { hasVariables, literalText } from './variables.ts'
import { type ServiceContext, translate, translateWords } from './context.ts'
import { durationOf } from './restart.ts'
import { splitWords } from '../draft.ts'
import { type Healthcheck, replicasOf } from './schema.ts'

type Check = { readonly http_get: string } | { readonly exec: string | readonly string[] }

/** The default of `period_ms` of a probe that has succeeded. */
const DEFAULT_PERIOD_MS = 5000
const DEFAULT_STARTUP_TIMEOUT_MS = 120_000
/** Defaults of Compose. */
const COMPOSE_INTERVAL_MS = 30_000
const COMPOSE_RETRIES = 3

/** Translates the healthcheck to a readiness probe. `container`: the name of the container in which commands run. */
export function readinessOf(context: ServiceContext, container: string | null): object {
  const { healthcheck } = context.service
  if (healthcheck === undefined || healthcheck.disable === true) return {}
  const check = checkOf(healthcheck.test, context, container)
  if (check === null) return {}
  if ('http_get' in check && replicasOf(context.service) > 1) {
    const advice = 'give each its own port, such as 300${PONIX_REPLICA}, in "env" and in a "readiness_probe"'
    context.note(`healthcheck left out, because all replicas would have the address ${check.http_get}; ${advice}`)
    return {}
  }
  return { readiness_probe: { ...check, ...timingOf(healthcheck, context) }, ...startupOf(healthcheck, context) }
}

function timingOf({ interval, timeout, retries }: Healthcheck, context: ServiceContext): object {
  const timeoutMs = durationOf(timeout, 'healthcheck.timeout', context)
  const periodMs = durationOf(interval, 'healthcheck.interval', context)
  const isFrequent = periodMs !== null && periodMs > 0 && periodMs <= DEFAULT_PERIOD_MS
  if (periodMs !== null && periodMs > DEFAULT_PERIOD_MS) {
    context.note(
      `healthcheck.interval ${interval} left out: the probe runs every 200 ms until it succeeds, then every 5 s; see "period_ms"`,
    )
  }
  return {
    ...(isFrequent ? { period_ms: periodMs } : {}),
    ...(timeoutMs === null || timeoutMs === 0 ? {} : { timeout_ms: timeoutMs }),
    ...(retries !== undefined && retries > 0 ? { failure_threshold: retries } : {}),
  }
}

/**
 * Extends the startup timeout to the time after which Compose gives up. Otherwise `start_period` and `start_interval` have no effect:
 * failures before the first success do not count, and the probe is frequent until then.
 */
function startupOf(
  { start_period, interval, retries = COMPOSE_RETRIES }: Healthcheck,
  context: ServiceContext,
): object {
  const startMs = durationOf(start_period, 'healthcheck.start_period', context) ?? 0
  const intervalMs = durationOf(interval, '', { note: () => undefined }) ?? COMPOSE_INTERVAL_MS
  const timeoutMs = startMs + intervalMs * retries
  return timeoutMs > DEFAULT_STARTUP_TIMEOUT_MS ? { startup_timeout_ms: timeoutMs } : {}
}

/** Returns the check of `test`: a string, or a list that begins with CMD or CMD-SHELL; null for NONE. */
function checkOf(test: Healthcheck['test'], context: ServiceContext, container: string | null): Check | null {
  if (test === undefined) return null
  const [kind, ...words] = typeof test === 'string' ? ['CMD-SHELL', test] : test
  if (words.length === 0 || kind === 'NONE') return null
  if (kind !== 'CMD-SHELL' && kind !== 'CMD') {
    context.note(`healthcheck left out: its "test" begins with ${kind}; expected CMD, CMD-SHELL or NONE`)
    return null
  }
  const line = words.join(' ')
  if (container !== null) {
    const inner = kind === 'CMD' ? words : ['/bin/sh', '-c', line]
    return { exec: ['docker', 'exec', container, ...inner.map((word) => context.variables.forFile(word))] }
  }
  const http = httpCheck(kind === 'CMD' ? words : simpleWords(line))
  if (http !== null) return { http_get: translate(http, 'healthcheck', context) }
  if (kind === 'CMD') return { exec: translateWords(words, 'healthcheck', context) }
  return {
    exec: hasReplacements(line, context)
      ? ['/bin/sh', '-c', translate(line, 'healthcheck', context)]
      : literalText(line),
  }
}

function hasReplacements(line: string, { hosts }: ServiceContext): boolean {
  return hasVariables(line) || hosts.mentioned(line).length > 0
}

/** Returns the words of a line without syntax of the shell, and without `|| exit 1` at its end. */
function simpleWords(line: string): readonly string[] {
  const command = line.replace(/\s*\|\|\s*(?:exit 1|false)\s*$/, '').trim()
  return /[|&;<>()`*]|\$\$/.test(command) ? [] : splitWords(command)
}

/** Returns the URL of curl or wget with a single URL and flags that change nothing else; null for another command. */
function httpCheck([program = '', ...args]: readonly string[]): string | null {
  const harmless = {
    curl: /^(?:-[fsSL]+|--fail|--silent|--show-error|--location)$/,
    wget: /^(?:-q|-qO-|-O-|-nv|--quiet|--spider|--no-verbose|--tries=\d+|-O|\/dev\/null|-)$/,
  }[program]
  if (harmless === undefined) return null
  const urls = args.filter((arg) => !harmless.test(arg))
  const [url = ''] = urls
  const full = /^https?:\/\//.test(url) ? url : `http://${url}`
  const isUrl = URL.canParse(full.replaceAll(/\$(?:\{[^}]*\}|\w+)/g, '1'))
  return urls.length === 1 && !url.startsWith('-') && isUrl ? full : null
}

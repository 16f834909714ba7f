import { z } from 'zod'
import { parseDuration } from '../../config/duration.ts'
import { variablesForFile, variablesForShell } from './compose-variables.ts'

type Probe = Readonly<Record<string, unknown>>

/** The key `healthcheck` of a service. */
export const healthcheckSchema = z.looseObject({
  test: z.union([z.string(), z.array(z.string())]).optional(),
  interval: z.string().optional(),
  timeout: z.string().optional(),
  retries: z.number().optional(),
  disable: z.boolean().optional(),
})

/** Translates a healthcheck to a readiness probe; null if it has none. */
export function probeOf({ test, interval, timeout, retries, disable }: z.infer<typeof healthcheckSchema>): {
  readonly probe: Probe | null
  readonly notes: readonly string[]
} {
  const check = disable === true ? null : checkOf(test)
  if (check === null) return { probe: null, notes: [] }
  const timeoutMs = timeout === undefined ? null : parseDuration(timeout)
  const probe = {
    ...check,
    ...(timeoutMs === null || timeoutMs === 0 ? {} : { timeout_ms: timeoutMs }),
    ...(retries !== undefined && retries > 0 ? { failure_threshold: retries } : {}),
  }
  const notes =
    interval === undefined
      ? []
      : [
          `healthcheck.interval ${interval} left out: the probe runs every 200 ms until it succeeds, then every 5 s; see "period_ms"`,
        ]
  return { probe, notes }
}

/** Returns the check of `test`: a string, or a list that begins with CMD or CMD-SHELL. */
function checkOf(test: string | readonly string[] | undefined): Probe | null {
  if (test === undefined) return null
  if (typeof test === 'string') return checkOfLine(test)
  const [kind, ...words] = test
  if (kind === 'CMD-SHELL') return checkOfLine(words.join(' '))
  if (kind !== 'CMD' || words.length === 0) return null
  return httpCheck(words) ?? { exec: words.map(variablesForFile) }
}

function checkOfLine(line: string): Probe {
  const command = line.replace(/\s*\|\|\s*(?:exit 1|false)\s*$/, '').trim()
  const hasShellSyntax = /[|&;<>()`$*]/.test(command)
  return (hasShellSyntax ? null : httpCheck(command.split(/\s+/))) ?? { exec: variablesForShell(line) }
}

/** Returns an HTTP check for curl or wget with a single URL and flags that change nothing else. */
function httpCheck([program = '', ...args]: readonly string[]): Probe | null {
  const harmless = {
    curl: /^(?:-f|-s|-S|-L|-[fsSL]+|--fail|--silent|--show-error|--location)$/,
    wget: /^(?:-q|-qO-|-O-|-nv|--quiet|--spider|--no-verbose|--tries=\d+|-O|\/dev\/null|-)$/,
  }[program]
  if (harmless === undefined) return null
  const urls = args.map((arg) => arg.replaceAll(/^["']|["']$/g, '')).filter((arg) => !harmless.test(arg))
  const [url = ''] = urls
  const full = /^https?:\/\//.test(url) ? url : `http://${url}`
  return urls.length === 1 && !url.startsWith('-') && URL.canParse(full) ? { http_get: full } : null
}

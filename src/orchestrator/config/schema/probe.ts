import { z } from 'zod'
import { addressHint, hintFor, probeHint, urlHint, withHint } from './hints.ts'
import { milliseconds, plainText, section, text, wholeNumber } from './fields.ts'
import { exactlyOne, withRules } from './rules.ts'
import { parseSocketAddress, socketAddressForm } from '../socket-address.ts'

export function isHttpUrl(value: string): boolean {
  return URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)
}

/** Returns whether only the port of an HTTP URL is wrong. */
export function hasInvalidPort(value: string): boolean {
  const [, start, rest = ''] = /^(https?:\/\/(?:\[[^\]]*\]|[^/?#:@]+)):[^/?#@]*(.*)$/i.exec(value) ?? []
  return start !== undefined && !isHttpUrl(value) && isHttpUrl(start + rest)
}

export function isRegularExpression(value: string): boolean {
  try {
    return new RegExp(value) instanceof RegExp
  } catch {
    return false
  }
}

export const httpUrlForm = 'a URL that begins with http:// or https://'
export const regularExpressionForm = 'a regular expression of JavaScript'

/** Returns a check that accepts every text with variables, which is checked after their replacement. */
function unlessVariable(isValid: (value: string) => boolean): (value: string) => boolean {
  return (value) => value.includes('${') || isValid(value)
}

/** The kinds of probes that ask an address. */
export const addressKinds = ['tcp_socket', 'http_get'] as const
const polledKinds = [...addressKinds, 'exec']

const execForm = 'a list of a program and its arguments, or a line for /bin/sh -c'

/** Necessary, not sufficient; editors know these patterns. */
const addressPattern = /:\d{1,5}$|\$\{/
const urlPattern = /^[hH][tT]{2}[pP][sS]?:|\$\{/

const pollShape = {
  tcp_socket: text(withHint('host:port', addressHint))
    .regex(addressPattern, { error: withHint(socketAddressForm, addressHint) })
    .refine(
      unlessVariable((value) => parseSocketAddress(value) !== null),
      { error: withHint(socketAddressForm, addressHint) },
    )
    .optional()
    .describe('`host:port`; succeeds if a TCP connection is accepted'),
  http_get: text(withHint('a URL', urlHint))
    .regex(urlPattern, { error: withHint(httpUrlForm, urlHint) })
    .refine(unlessVariable(isHttpUrl), { error: withHint(httpUrlForm, urlHint) })
    .optional()
    .describe('URL; succeeds with a status of 2xx or 3xx'),
  exec: z
    .union([text(execForm), z.tuple([text('a program name or path')], plainText('a string'), { error: execForm })], {
      error: withHint(execForm, hintFor('object', 'write the command itself, such as ["pg_isready", "-q"]')),
    })
    .optional()
    .describe('program and arguments as a list, or a line for `/bin/sh -c`; succeeds with exit code 0'),
  initial_delay_ms: milliseconds(0).default(0).describe('delay before the first probe'),
  period_ms: milliseconds(1).optional(),
  timeout_ms: milliseconds(1).default(2000).describe('a probe that takes longer fails'),
  success_threshold: wholeNumber('a whole number', 1, 1000).default(1),
  failure_threshold: wholeNumber('a whole number', 1, 1000).default(3),
}

const readinessKeys = section(withHint('an object that describes a probe', probeHint), {
  tcp_socket: pollShape.tcp_socket,
  http_get: pollShape.http_get,
  exec: pollShape.exec,
  log_line: text('a regular expression')
    .refine(unlessVariable(isRegularExpression), { error: regularExpressionForm })
    .optional()
    .describe('regular expression; succeeds when a line of stdout or stderr matches'),
  notify: z
    .literal(true, { error: 'true' })
    .optional()
    .describe('`true`; succeeds when the process writes a newline to the file descriptor in `NOTIFY_FD`'),
  initial_delay_ms: pollShape.initial_delay_ms,
  period_ms: pollShape.period_ms.describe('time between two probes. Default: 200 until the first success, then 5000'),
  timeout_ms: pollShape.timeout_ms,
  success_threshold: pollShape.success_threshold.describe('consecutive successes until the process is ready'),
  failure_threshold: pollShape.failure_threshold.describe('consecutive failures until a ready process is unhealthy'),
})

export const readinessProbeSchema = withRules(readinessKeys, [exactlyOne([...polledKinds, 'log_line', 'notify'])])

const livenessKeys = section(withHint('an object that describes a probe', probeHint), {
  ...pollShape,
  period_ms: pollShape.period_ms.describe('time between two probes. Default: 5000'),
  success_threshold: pollShape.success_threshold.describe('no effect: one success resets the count of failures'),
  failure_threshold: pollShape.failure_threshold.describe('consecutive failures until the process is restarted'),
})

/** The schema of liveness probes: without `log_line` and `notify`, which succeed once and never fail. */
export const livenessProbeSchema = withRules(livenessKeys, [exactlyOne(polledKinds)])

export type ProbeFile = z.infer<typeof readinessProbeSchema>

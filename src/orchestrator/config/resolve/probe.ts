import type { JsonPath } from '../source/json-source.ts'
import type { Problems } from '../source/problems.ts'
import type { ProbeCheck, ResolvedProbe, ResolvedProcess } from '../resolved.ts'
import {
  hasInvalidPort,
  httpUrlForm,
  isHttpUrl,
  isRegularExpression,
  type ProbeFile,
  regularExpressionForm,
} from '../schema/probe.ts'
import type { Scope } from './scope.ts'
import { parseSocketAddress, socketAddressForm } from '../socket-address.ts'
import { showReplaced } from '../variables.ts'

interface ProbeContext {
  /** The path of the probe. */
  readonly path: JsonPath
  readonly scope: Scope
  readonly problems: Problems
}

/** Interpolates a probe and fills in its defaults. Adds problems to the context. */
export function resolveProbe(file: ProbeFile, context: ProbeContext): ResolvedProbe {
  return {
    check: resolveCheck(file, context),
    initialDelayMs: file.initial_delay_ms,
    periodMs: { beforeReady: file.period_ms ?? 200, afterReady: file.period_ms ?? 5000 },
    timeoutMs: file.timeout_ms,
    successThreshold: file.success_threshold,
    failureThreshold: file.failure_threshold,
  }
}

type Resolver = (file: ProbeFile, context: ProbeContext) => ProbeCheck | null

/** The check of each kind; null if the probe is of another kind. The compiler requires an entry for every kind. */
const CHECKS: { readonly [Kind in ProbeCheck['type']]: Resolver } = {
  tcp_socket: ({ tcp_socket: text }, context) => {
    if (text === undefined) return null
    const found = valueOf(text, 'tcp_socket', socketAddressForm, parseSocketAddress, context)
    return { type: 'tcp_socket', ...(found ?? invalidAddress) }
  },
  http_get: ({ http_get: text }, context) => {
    if (text === undefined) return null
    const found = valueOf(text, 'http_get', httpUrlForm, (url) => (isHttpUrl(url) ? url : null), context)
    return { type: 'http_get', url: found ?? invalidUrl }
  },
  exec: ({ exec }, { path, scope }) => {
    if (exec === undefined) return null
    // The shell expands variables itself.
    if (typeof exec === 'string') return { type: 'exec', command: ['/bin/sh', '-c', exec] }
    const [program, ...args] = exec
    const word = (text: string, index: number) => scope.interpolate(text, [...path, 'exec', index])
    return { type: 'exec', command: [word(program, 0), ...args.map((text, index) => word(text, index + 1))] }
  },
  log_line: ({ log_line: text }, context) => {
    if (text === undefined) return null
    const read = (pattern: string) => (isRegularExpression(pattern) ? new RegExp(pattern) : null)
    const found = valueOf(text, 'log_line', regularExpressionForm, read, context, escapePattern)
    return { type: 'log_line', pattern: found ?? /invalid/ }
  },
  notify: ({ notify }) => (notify === undefined ? null : { type: 'notify' }),
}

/** The replacements of invalid values, which are reported. */
const invalidAddress = { host: 'invalid', port: 1 }
const invalidUrl = 'http://invalid/'

/** Interpolates the text at a key and reads it. Adds problems; the result is null if it is invalid. */
function valueOf<T>(
  text: string,
  key: string,
  form: string,
  read: (text: string) => T | null,
  { path, scope, problems }: ProbeContext,
  escape?: (value: string) => string,
): T | null {
  const replaced = scope.replace(text, [...path, key], escape)
  if (replaced === null) return null
  const found = read(replaced.text)
  if (found === null) {
    const reason = key === 'http_get' && hasInvalidPort(replaced.text) ? 'a URL with a port of 0 to 65535' : form
    problems.add([...path, key], `expected ${reason}, got ${showReplaced(replaced)}`)
  }
  if (found !== null && key === 'log_line' && replaced.isSecret) {
    problems.add([...path, key], 'a secret in the pattern would be a secret in the log; use another variable')
  }
  return found
}

/** Makes a pattern that matches the text literally. */
function escapePattern(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`)
}

/** Exactly one key is set and valid, as the schema ensures. */
function resolveCheck(file: ProbeFile, context: ProbeContext): ProbeCheck {
  const [check] = Object.values(CHECKS).flatMap((resolve) => resolve(file, context) ?? [])
  if (check === undefined) throw new Error('a probe has no kind')
  return check
}

/** Adds problems for replicas whose probes ask the same address, which only one of them can answer. */
export function checkReplicaProbes(processes: readonly ResolvedProcess[], problems: Problems): void {
  for (const [key, probeOf] of [
    ['readiness_probe', (one: ResolvedProcess) => one.readinessProbe],
    ['liveness_probe', (one: ResolvedProcess) => one.livenessProbe],
  ] as const) {
    const seen = new Map<string, string>()
    for (const definition of processes) {
      const check = probeOf(definition)?.check
      if (check?.type !== 'tcp_socket' && check?.type !== 'http_get') continue
      const address = `${definition.configName} ${JSON.stringify(check)}`
      if (seen.has(address)) {
        const message =
          'probes the same address for every replica; use ${PONIX_REPLICA} in the address, or an exec probe'
        problems.add(['processes', definition.configName, key], message)
      }
      seen.set(address, definition.name)
    }
  }
}

import type { ProbeCheck, ResolvedProbe } from './resolved.ts'
import type { ProbeFile } from './schema/probe.ts'
import { parseSocketAddress } from './socket-address.ts'

export function resolveProbe(file: ProbeFile): ResolvedProbe {
  return {
    check: resolveCheck(file),
    initialDelayMs: file.initial_delay_ms,
    periodMs: { beforeReady: file.period_ms ?? 200, afterReady: file.period_ms ?? 5000 },
    timeoutMs: file.timeout_ms,
    successThreshold: file.success_threshold,
    failureThreshold: file.failure_threshold,
  }
}

/** The check of each kind; null if the probe is of another kind. The compiler requires an entry for every kind. */
const CHECKS: { readonly [Kind in ProbeCheck['type']]: (file: ProbeFile) => ProbeCheck | null } = {
  tcp_socket: ({ tcp_socket }) => {
    const address = tcp_socket === undefined ? null : parseSocketAddress(tcp_socket)
    return address === null ? null : { type: 'tcp_socket', ...address }
  },
  http_get: ({ http_get: url }) => (url === undefined ? null : { type: 'http_get', url }),
  exec: ({ exec }) => {
    if (exec === undefined) return null
    return { type: 'exec', command: typeof exec === 'string' ? ['/bin/sh', '-c', exec] : exec }
  },
  log_line: ({ log_line }) => (log_line === undefined ? null : { type: 'log_line', pattern: new RegExp(log_line) }),
  notify: ({ notify }) => (notify === undefined ? null : { type: 'notify' }),
}

/** Exactly one key is set and valid, as the schema ensures. */
function resolveCheck(file: ProbeFile): ProbeCheck {
  const [check] = Object.values(CHECKS).flatMap((resolve) => resolve(file) ?? [])
  if (check === undefined) throw new Error('a probe has no kind')
  return check
}

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

function resolveCheck(file: ProbeFile): ProbeCheck {
  const address = file.tcp_socket === undefined ? null : parseSocketAddress(file.tcp_socket)
  if (address !== null) return { type: 'tcp_socket', ...address }
  if (file.http_get !== undefined) return { type: 'http_get', url: file.http_get }
  if (file.log_line !== undefined) return { type: 'log_line', pattern: new RegExp(file.log_line) }
  if (file.exec === undefined) return { type: 'notify' }
  return { type: 'exec', command: typeof file.exec === 'string' ? ['/bin/sh', '-c', file.exec] : file.exec }
}

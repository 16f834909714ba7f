import { probeCommand } from './container.ts'
import type { ExportedProbe, ExportedProcess } from './exported-graph.ts'
import { isLoopback } from '../config/socket-address.ts'
import { portOf } from './kubernetes-addresses.ts'
import type { YamlValue } from './yaml.ts'

interface Probes {
  readonly startupProbe: YamlValue | undefined
  readonly readinessProbe: YamlValue | undefined
  readonly livenessProbe: YamlValue | undefined
}

/** The startup probe bounds the time until the first success, as `startup_timeout_ms` does; tasks have no probes here. */
export function kubernetesProbes({ process, readiness, liveness }: ExportedProcess): Probes {
  const none = { startupProbe: undefined, readinessProbe: undefined, livenessProbe: undefined }
  if (process.kind === 'task') return none
  return {
    startupProbe: readiness === null ? undefined : startupProbe(readiness, process.startupTimeoutMs),
    readinessProbe: readiness === null ? undefined : lastingProbe(readiness, readiness.successThreshold),
    // More than one success is refused here.
    livenessProbe: liveness === null ? undefined : lastingProbe(liveness, 1),
  }
}

function startupProbe(probe: ExportedProbe, startupTimeoutMs: number): YamlValue | undefined {
  const handler = handlerOf(probe)
  if (handler === undefined) return undefined
  const periodSeconds = seconds(probe.periodMs.beforeReady)
  return {
    ...handler,
    initialDelaySeconds: Math.ceil(probe.initialDelayMs / 1000),
    periodSeconds,
    timeoutSeconds: seconds(probe.timeoutMs),
    failureThreshold: Math.max(1, Math.ceil(startupTimeoutMs / 1000 / periodSeconds)),
  }
}

function lastingProbe(probe: ExportedProbe, successThreshold: number): YamlValue | undefined {
  const handler = handlerOf(probe)
  if (handler === undefined) return undefined
  return {
    ...handler,
    periodSeconds: seconds(probe.periodMs.afterReady),
    timeoutSeconds: seconds(probe.timeoutMs),
    successThreshold,
    failureThreshold: probe.failureThreshold,
  }
}

/** Kubernetes counts in whole seconds, from 1. */
function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}

type Handler = Readonly<Record<'tcpSocket' | 'httpGet' | 'exec', YamlValue>>

function handlerOf(probe: ExportedProbe): Partial<Handler> | undefined {
  const { check } = probe
  if (check.type === 'tcp_socket') return { tcpSocket: { host: hostOf(check.host), port: check.port } }
  if (check.type === 'http_get' && 'text' in check.url) {
    const url = new URL(check.url.text)
    const path = `${url.pathname}${url.search}`
    const scheme = url.protocol === 'https:' ? 'HTTPS' : 'HTTP'
    return { httpGet: { host: hostOf(url.hostname), port: portOf(url), path, scheme } }
  }
  const command = probeCommand(probe)
  return command === null ? undefined : { exec: { command: ['/bin/sh', '-c', command] } }
}

/** Left out, it is the pod itself. */
function hostOf(host: string): string | undefined {
  return isLoopback(host) ? undefined : host
}

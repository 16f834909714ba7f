import { isLoopback } from '../config/socket-address.ts'
import { probeCommand } from './container.ts'
import type { ExportedProbe, ExportedProcess } from './exported-graph.ts'
import { portOf } from './kubernetes-addresses.ts'
import type { YamlValue } from './yaml.ts'

type Fields = Readonly<Record<string, YamlValue | undefined>>

/** The startup probe limits the time until the first success, as `startup_timeout_ms` does. Jobs have no probes. */
export function kubernetesProbes({ process, readiness, liveness }: ExportedProcess): Fields {
  if (process.kind === 'task') return {}
  return {
    startupProbe: readiness === null ? undefined : startupProbe(readiness, process.startupTimeoutMs),
    readinessProbe: readiness === null ? undefined : periodicProbe(readiness, readiness.successThreshold),
    // Kubernetes accepts no other threshold here.
    livenessProbe: liveness === null ? undefined : periodicProbe(liveness, 1),
  }
}

function startupProbe(probe: ExportedProbe, startupTimeoutMs: number): YamlValue | undefined {
  const periodSeconds = seconds(probe.periodMs.beforeReady)
  return withHandler(probe, {
    initialDelaySeconds: Math.ceil(probe.initialDelayMs / 1000),
    periodSeconds,
    timeoutSeconds: seconds(probe.timeoutMs),
    failureThreshold: Math.max(1, Math.ceil(startupTimeoutMs / 1000 / periodSeconds)),
  })
}

function periodicProbe(probe: ExportedProbe, successThreshold: number): YamlValue | undefined {
  return withHandler(probe, {
    periodSeconds: seconds(probe.periodMs.afterReady),
    timeoutSeconds: seconds(probe.timeoutMs),
    successThreshold,
    failureThreshold: probe.failureThreshold,
  })
}

/** Kubernetes counts in whole seconds, from 1. */
function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}

/** Undefined for a probe that only the orchestrator can check. */
function withHandler(probe: ExportedProbe, settings: Fields): Fields | undefined {
  const { check } = probe
  if (check.type === 'tcp_socket') {
    return { tcpSocket: { host: externalHost(check.host), port: check.port }, ...settings }
  }
  if (check.type === 'http_get' && 'text' in check.url) {
    const url = new URL(check.url.text)
    const scheme = url.protocol === 'https:' ? 'HTTPS' : 'HTTP'
    const httpGet = {
      host: externalHost(url.hostname),
      port: portOf(url),
      path: `${url.pathname}${url.search}`,
      scheme,
    }
    return { httpGet, ...settings }
  }
  const command = probeCommand(probe)
  return command === null ? undefined : { exec: { command: ['/bin/sh', '-c', command] }, ...settings }
}

/** Without a host Kubernetes probes the pod itself. */
function externalHost(host: string): string | undefined {
  return isLoopback(host) ? undefined : host
}

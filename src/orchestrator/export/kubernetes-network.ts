import type { ResolvedConfig } from '../config/resolved.ts'
import { isLoopback, portOf } from '../config/socket-address.ts'
import { probeCommand } from './container.ts'
import type { ExportedProcess, ExportedProbe } from './exported-graph.ts'
import type { YamlObject } from './yaml.ts'

/** A port of this machine, and the Service of the process that listens there. */
export interface KnownAddress {
  readonly id: string
  readonly port: number
}

/** Returns the ports of a process that its probes, or its role as the broker, reveal. */
export function portsOf(exported: ExportedProcess, { external }: ResolvedConfig): readonly number[] {
  const { definition, readiness, liveness } = exported
  const ports = [readiness, liveness].flatMap((probe) => (probe === null ? [] : (localPort(probe) ?? [])))
  if (external?.providedBy === definition.name) ports.push(external.port)
  return [...new Set(ports)]
}

/** Returns the port of this machine that a probe connects to; null if it connects to none. */
function localPort({ check }: ExportedProbe): number | null {
  switch (check.type) {
    case 'tcp_socket':
      return isLoopback(check.host) ? check.port : null
    case 'http_get': {
      if ('secret' in check.url) return null
      const url = new URL(check.url.text)
      return isLoopback(url.hostname) ? portOf(url) : null
    }
    case 'exec':
    case 'log_line':
    case 'notify':
      return null
  }
}

/** Replaces `127.0.0.1:5432` with `postgres:5432` if another process listens there: in a cluster each process has its own address. */
export function rewriteAddresses(text: string, ownId: string, known: readonly KnownAddress[]): string {
  let rewritten = text
  for (const { id, port } of known) {
    const pattern = new RegExp(String.raw`(?<![\w.-])(?:127\.0\.0\.1|localhost|\[::1\]):${port}(?!\d)`, 'g')
    if (id !== ownId) rewritten = rewritten.replaceAll(pattern, `${id}:${port}`)
  }
  return rewritten
}

/** Returns whether a text contains an address of this machine. */
export function namesLoopback(text: string): boolean {
  return /(?<![\w.-])(?:127\.0\.0\.1|localhost|\[?::1\]?)(?![\w.-])/.test(text)
}

/** Renders the probes. The startup probe limits the time until the first success, as `startup_timeout_ms` does. Jobs have none. */
export function kubernetesProbes({ definition, readiness, liveness }: ExportedProcess): YamlObject {
  if (definition.kind === 'task') return {}
  return {
    startupProbe: readiness === null ? undefined : startupProbe(readiness, definition.startupTimeoutMs),
    readinessProbe: readiness === null ? undefined : periodicProbe(readiness, readiness.successThreshold),
    // Kubernetes accepts no other threshold here.
    livenessProbe: liveness === null ? undefined : periodicProbe(liveness, 1),
  }
}

function startupProbe(probe: ExportedProbe, startupTimeoutMs: number): YamlObject | undefined {
  const periodSeconds = seconds(probe.periodMs.beforeReady)
  return withHandler(probe, {
    initialDelaySeconds: Math.ceil(probe.initialDelayMs / 1000),
    periodSeconds,
    timeoutSeconds: seconds(probe.timeoutMs),
    failureThreshold: Math.max(1, Math.ceil(startupTimeoutMs / 1000 / periodSeconds)),
  })
}

function periodicProbe(probe: ExportedProbe, successThreshold: number): YamlObject | undefined {
  return withHandler(probe, {
    periodSeconds: seconds(probe.periodMs.afterReady),
    timeoutSeconds: seconds(probe.timeoutMs),
    successThreshold,
    failureThreshold: probe.failureThreshold,
  })
}

/** Converts to Kubernetes' unit, whole seconds of at least 1. */
function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}

/** Returns a probe with its handler; undefined if only the orchestrator can check it. */
function withHandler(probe: ExportedProbe, settings: YamlObject): YamlObject | undefined {
  const { check } = probe
  switch (check.type) {
    case 'tcp_socket':
      return { tcpSocket: { host: externalHost(check.host), port: check.port }, ...settings }
    case 'http_get': {
      // A URL with a secret is read from its variable, which only a command can do.
      if ('secret' in check.url) return withCommand(probe, settings)
      const url = new URL(check.url.text)
      const scheme = url.protocol === 'https:' ? 'HTTPS' : 'HTTP'
      const path = `${url.pathname}${url.search}`
      const httpGet = { host: externalHost(url.hostname), port: portOf(url), path, scheme }
      return { httpGet, ...settings }
    }
    case 'exec':
    case 'log_line':
    case 'notify':
      return withCommand(probe, settings)
  }
}

function withCommand(probe: ExportedProbe, settings: YamlObject): YamlObject | undefined {
  const command = probeCommand(probe)
  return command === null ? undefined : { exec: { command: ['/bin/sh', '-c', command] }, ...settings }
}

/** Returns the host of a probe; undefined for the pod itself. */
function externalHost(host: string): string | undefined {
  return isLoopback(host) ? undefined : host
}

import type { ResolvedConfig } from '../config/resolved.ts'
import { isLoopback } from '../config/socket-address.ts'
import type { ExportedProcess } from './exported-graph.ts'

/** A port of this machine, and the Service that stands for the process behind it. */
export interface KnownAddress {
  readonly id: string
  readonly port: number
}

const loopbackHosts = ['127.0.0.1', 'localhost', '[::1]']

/** The ports that the configuration is known to have a process behind. */
export function addressesOf(processes: readonly ExportedProcess[], config: ResolvedConfig): readonly KnownAddress[] {
  return processes.flatMap((exported) => portsOf(exported, config).map((port) => ({ id: exported.id, port })))
}

/** What is told by a process's probes, and by its being the broker. */
export function portsOf({ process, readiness, liveness }: ExportedProcess, config: ResolvedConfig): readonly number[] {
  const ports = [readiness, liveness].flatMap((probe) => {
    if (probe?.check.type === 'tcp_socket') return isLoopback(probe.check.host) ? [probe.check.port] : []
    if (probe?.check.type !== 'http_get' || 'secret' in probe.check.url) return []
    const url = new URL(probe.check.url.text)
    return isLoopback(url.hostname) ? [portOf(url)] : []
  })
  if (config.external.providedBy === process.name) ports.push(config.external.port)
  return [...new Set(ports)]
}

export function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port)
  return url.protocol === 'https:' ? 443 : 80
}

/** `127.0.0.1:5432` becomes `postgres:5432`, if that is known to be another process's address: each has a machine of its own now. */
export function rewriteAddresses(text: string, ownId: string, known: readonly KnownAddress[]): string {
  let rewritten = text
  for (const { id, port } of known) {
    if (id === ownId) continue
    for (const host of loopbackHosts) rewritten = replaceAddress(rewritten, `${host}:${port}`, `${id}:${port}`)
  }
  return rewritten
}

function replaceAddress(text: string, address: string, replacement: string): string {
  const pattern = new RegExp(`(?<![\\w.-])${address.replaceAll(/[.[\]]/g, String.raw`\$&`)}(?!\\d)`, 'g')
  return text.replaceAll(pattern, replacement)
}

/** Whether a text still speaks of this machine. */
export function namesLoopback(text: string): boolean {
  return /(?<![\w.-])(?:127\.0\.0\.1|localhost|\[?::1\]?)(?![\w.-])/.test(text)
}

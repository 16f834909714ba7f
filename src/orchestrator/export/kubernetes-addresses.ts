import type { ResolvedConfig } from '../config/resolved.ts'
import { isLoopback } from '../config/socket-address.ts'
import type { ExportedProcess } from './exported-graph.ts'

/** A port of this machine, and the Service of the process that listens there. */
export interface KnownAddress {
  readonly id: string
  readonly port: number
}

const loopbackHosts = ['127.0.0.1', 'localhost', '[::1]']

export function addressesOf(processes: readonly ExportedProcess[], config: ResolvedConfig): readonly KnownAddress[] {
  return processes.flatMap((exported) => portsOf(exported, config).map((port) => ({ id: exported.id, port })))
}

/** The ports of a process that are known from its probes, and from its being the broker. */
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

export function portOf({ protocol, port }: URL): number {
  if (port !== '') return Number(port)
  return protocol === 'https:' ? 443 : 80
}

/** Replaces `127.0.0.1:5432` by `postgres:5432` if that is the address of another process: in a cluster each has its own machine. */
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

/** Whether a text contains an address of this machine. */
export function namesLoopback(text: string): boolean {
  return /(?<![\w.-])(?:127\.0\.0\.1|localhost|\[?::1\]?)(?![\w.-])/.test(text)
}

import { readFileSync } from 'node:fs'
import { SocketAddress } from 'node:net'
import { endianness } from 'node:os'

/** A TCP socket that accepts connections. */
export interface Listener {
  /** In canonical form; an IPv4 address mapped to IPv6 is an IPv4 address. */
  readonly address: string
  readonly port: number
  /** Identifies the socket, also in /proc/PID/fd. */
  readonly inode: string
  readonly uid: number
}

/** The state of a listening socket in /proc/net/tcp; see proc_net_tcp(5). */
const LISTEN = '0A'

/** Returns all listening sockets of this machine, or of this container; null without /proc. */
export function readListeners(): readonly Listener[] | null {
  const tables = ['/proc/net/tcp', '/proc/net/tcp6'].map(readTable)
  if (tables.every((table) => table === null)) return null
  return tables.flatMap((table) => (table === null ? [] : parseListeners(table)))
}

let shared: { readonly listeners: readonly Listener[] | null } | null = null

/** As `readListeners`, with one read for all calls in a turn of the event loop, in which many processes may start. */
export function sharedListeners(): readonly Listener[] | null {
  if (shared === null) {
    shared = { listeners: readListeners() }
    setImmediate(() => (shared = null))
  }
  return shared.listeners
}

function readTable(path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return null
  }
}

/** Parses /proc/net/tcp or /proc/net/tcp6. */
export function parseListeners(table: string): readonly Listener[] {
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , uid, , inode] = line.trim().split(/\s+/)
    const [hex = '', port = ''] = local.split(':')
    if (state !== LISTEN || inode === undefined) return []
    return [{ address: addressOf(hex), port: Number.parseInt(port, 16), inode, uid: Number(uid) }]
  })
}

/** Converts words of 32 bits in the byte order of the machine. */
function addressOf(hex: string): string {
  const words = hex.match(/.{8}/g) ?? []
  const bytes = words.flatMap((word) => {
    const pairs = (word.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16))
    return endianness() === 'LE' ? pairs.toReversed() : pairs
  })
  const isMapped = bytes.length === 16 && bytes.slice(0, 12).join() === '0,0,0,0,0,0,0,0,0,0,255,255'
  if (bytes.length === 4 || isMapped) return bytes.slice(-4).join('.')
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16),
  )
  return canonical(groups.join(':'))
}

/** Returns the canonical form of an IPv6 address. */
export function canonical(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address
}

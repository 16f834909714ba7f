import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type ControlFile, controlSchema, httpForm } from './control-schema.ts'
import { interpolate } from './interpolate.ts'
import { isLoopback } from './loopback.ts'
import { type ReplacementSurroundings, replaceNames, showReplaced } from './replace-names.ts'
import type { ResolvedControl, ResolvedHttp } from './resolved.ts'
import { formatSocketAddress, parseSocketAddress, type SocketAddress } from './socket-address.ts'

/** What the address of a socket has room for on every system. */
const MAX_SOCKET_BYTES = 103

/** The token is looked up in what the children never see. */
export interface ControlSurroundings extends ReplacementSurroundings {
  /** Absolute path of the configuration file. */
  readonly path: string
}

export interface ControlResolution {
  /** Null: the orchestrator takes no commands. */
  readonly control: ResolvedControl | null
  /** The variables that the token was made of: not for the processes (O-42). */
  readonly secretNames: ReadonlySet<string>
}

/** Where the orchestrator is to be spoken to. What cannot be goes to the problems. */
export function resolveControl(file: ControlFile, around: ControlSurroundings): ControlResolution {
  if (file === false) return { control: null, secretNames: new Set() }
  if (file === true) return { control: { socketPath: null, http: null }, secretNames: new Set() }
  const { socket } = file
  const token = file.token === undefined ? null : resolveToken(file.token, around)
  return {
    control: {
      socketPath: socket === undefined ? null : resolveSocket(socket, around),
      http: file.http === undefined ? null : resolveHttp({ ...file, http: file.http }, token?.digest ?? null, around),
    },
    secretNames: token?.names ?? new Set(),
  }
}

/** The socket that a file names, read by whoever wants to speak to it; null if it names none, or cannot be understood. */
export function configuredSocket(path: string, environment: NodeJS.ProcessEnv): string | null {
  try {
    const file: unknown = JSON.parse(readFileSync(path, 'utf8'))
    const control = controlSchema.parse(
      typeof file === 'object' && file !== null && 'control' in file ? file.control : true,
    )
    if (typeof control === 'boolean' || control.socket === undefined) return null
    const { text, problems } = interpolate(control.socket, (name) => environment[name])
    return problems.length === 0 ? resolve(dirname(path), text) : null
  } catch {
    return null
  }
}

function resolveSocket(socket: string, around: ControlSurroundings): string | null {
  const replaced = replaceNames(socket, ['control', 'socket'], around)
  if (replaced === null) return null
  const path = resolve(dirname(around.path), replaced.text)
  if (Buffer.byteLength(path) > MAX_SOCKET_BYTES) {
    const message = `the path of a socket has at most ${MAX_SOCKET_BYTES} bytes, and this one ${Buffer.byteLength(path)}; name a shorter one`
    around.problems.add(['control', 'socket'], message)
  }
  return path
}

/** Of a token only its digest is kept: it cannot be shown by mistake. */
function resolveToken(
  token: string,
  around: ControlSurroundings,
): { readonly digest: string; readonly names: ReadonlySet<string> } | null {
  const replaced = replaceNames(token, ['control', 'token'], around)
  if (replaced === null) return null
  const { text, names } = replaced
  if (!/^[\x21-\x7e]+$/.test(text)) {
    const found = text === '' ? 'it is empty' : 'it holds others'
    around.problems.add(['control', 'token'], `expected visible ASCII characters, without spaces; ${found}`)
  }
  return { digest: digestOf(text), names }
}

/** What stands for a token. */
export function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

function resolveHttp(
  { http, token }: { readonly http: number | string; readonly token?: string | undefined },
  tokenDigest: string | null,
  around: ControlSurroundings,
): ResolvedHttp | null {
  const replaced = replaceNames(String(http), ['control', 'http'], around)
  if (replaced === null) return null
  const at = ['control', 'http']
  const address = parseHttpAddress(replaced.text)
  if (address === null) {
    around.problems.add(at, `expected ${httpForm}, got ${showReplaced(replaced)}`)
    return null
  }
  if (token === undefined && !isLoopback(address.host)) {
    const message = `other machines can reach ${formatSocketAddress(address)}, so it needs a "token" beside it, such as "\${PONIX_CONTROL_TOKEN}"; or take 127.0.0.1`
    around.problems.add(at, message)
  }
  return { ...address, tokenDigest }
}

function parseHttpAddress(text: string): SocketAddress | null {
  return parseSocketAddress(/^\d+$/.test(text) ? `127.0.0.1:${text}` : text)
}

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import type { ResolvedControl, ResolvedHttp } from './resolved.ts'
import { flag, section, statement, text, wholeNumber } from './schema-fields.ts'
import { isLoopback, formatSocketAddress, parseSocketAddress, type SocketAddress } from './socket-address.ts'
import { interpolate, type ReplacementSurroundings, replaceNames, showReplaced } from './variables.ts'

/** What `http` may be, once its names are replaced; for messages. */
const httpForm =
  'host:port, or a port of 127.0.0.1 alone, with a port from 1 to 65535, such as 127.0.0.1:19100 or [::1]:19100'

const settingsSchema = section('an object', {
  socket: text('the path of a socket')
    .optional()
    .describe(
      'path of the socket that the commands speak to, relative to the folder of the file, folders are made; if not given, one in a folder of the run. Names are interpolated',
    ),
  http: z
    .union([wholeNumber('a port', 1, 65_535), text(httpForm)], { error: httpForm })
    .optional()
    .describe(
      '`host:port`, or a port of 127.0.0.1: the same over TCP, for browsers and Prometheus; if not given, there is none. An address that other machines can reach needs a `token`. Names are interpolated',
    ),
  token: text('a token')
    .optional()
    .describe(
      'every request over `http` then needs `Authorization: Bearer TOKEN`. Meant to be interpolated: the variables that it is made of do not reach the processes',
    ),
}).refine((control) => control.token === undefined || control.http !== undefined, {
  ...statement('has no meaning without "http", which it protects; the socket is open to this user only', ['token']),
})

/** How the running orchestrator can be asked and told things, before interpolation. */
export const controlSchema = z
  .union([flag(), settingsSchema], { error: 'true, false, or an object with "socket", "http" and "token"' })
  .default(true)
  .describe('`false`: the orchestrator takes no commands; an object says where it does')

export type ControlFile = z.infer<typeof controlSchema>

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

import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { z } from 'zod'
import { childOf, folderOf, type JsonNode, toValue } from './source/json-source.ts'
import { OwnScope } from './resolve/own-scope.ts'
import { type Problems, ProblemTexts } from './source/problems.ts'
import type { ResolvedControl, ResolvedHttp } from './resolved.ts'
import { flag, section, text, wholeNumber } from './schema/fields.ts'
import { absent, forbid, present, withRules } from './schema/rules.ts'
import { formatSocketAddress, isLoopback, parseSocketAddress } from './socket-address.ts'
import { ConfigFiles } from './source/config-files.ts'
import { type Replaced, showReplaced } from './variables.ts'

const httpForm =
  'host:port, or a port of 127.0.0.1 alone, with a port from 1 to 65535, such as 127.0.0.1:19100 or [::1]:19100'

const settingsKeys = section('an object', {
  socket: text('the path of a socket')
    .optional()
    .describe(
      'path of the socket for the commands, relative to the folder of the file; missing folders are created. Default: a path in the run folder. Variables are interpolated',
    ),
  http: z
    .union([wholeNumber('a port', 1, 65_535), text(httpForm)], { error: httpForm })
    .optional()
    .describe(
      '`host:port`, or a port of 127.0.0.1: serves the control API over TCP, for browsers and Prometheus. Default: none. An address that other machines can reach needs a `token`. Variables are interpolated',
    ),
  token: text('a token')
    .optional()
    .describe(
      'requests over `http` need `Authorization: Bearer TOKEN`. Use a variable: the variables in the token are not passed to the processes',
    ),
})

const settingsSchema = withRules(settingsKeys, [
  forbid(
    { token: present, http: absent },
    'token',
    'has no effect without "http", which it protects; only this user can use the socket',
  ),
])

/** The key `control`. */
export const controlSchema = z
  .union([flag(), settingsSchema], { error: 'true, false, or an object with "socket", "http" and "token"' })
  .default(true)
  .describe('`false`: the orchestrator accepts no commands; an object sets its addresses')

export type ControlFile = z.infer<typeof controlSchema>

/** The maximum length of a Unix socket's path that every system supports. */
const MAX_SOCKET_BYTES = 103

interface ControlContext {
  /** The merged configuration. */
  readonly root: JsonNode
  readonly own: OwnScope
  readonly problems: Problems
}

/**
 * Interpolates and checks the key `control`, which is null if the orchestrator accepts no commands. Adds problems to the
 * context. `tokenVariables` are the variables in the token, and those from which they were made, which are withheld from the
 * processes.
 */
export function resolveControl(
  file: ControlFile,
  context: ControlContext,
): { readonly control: ResolvedControl | null; readonly tokenVariables: ReadonlySet<string> } {
  if (file === false) return { control: null, tokenVariables: new Set() }
  if (file === true) return { control: { socketPath: null, http: null }, tokenVariables: new Set() }
  const { socket, http, token } = file
  const replacedToken = token === undefined ? null : resolveToken(token, context)
  const tokenDigest = replacedToken === null ? null : digestOf(replacedToken.text)
  return {
    control: {
      socketPath: socket === undefined ? null : resolveSocket(socket, context),
      http: http === undefined ? null : resolveHttp(String(http), token !== undefined, tokenDigest, context),
    },
    tokenVariables: replacedToken?.names ?? new Set(),
  }
}

/** Returns the socket path of a configuration file, for a client; null if the file sets none or is invalid. */
export function configuredSocket(path: string, environment: NodeJS.ProcessEnv): string | null {
  try {
    const files = new ConfigFiles(path)
    const { root } = files.source
    const control = controlSchema.parse(toValue(childOf(root, 'control')))
    if (typeof control === 'boolean' || control.socket === undefined) return null
    const at = ['control', 'socket']
    const replaced = new OwnScope(root, environment, { files, problems: new ProblemTexts() }).replace(
      control.socket,
      at,
    )
    return replaced === null ? null : resolve(folderOf(root, at), replaced.text)
  } catch {
    return null
  }
}

function resolveSocket(socket: string, context: ControlContext): string | null {
  const at = ['control', 'socket']
  const replaced = context.own.replace(socket, at)
  if (replaced === null) return null
  const path = resolve(folderOf(context.root, at), replaced.text)
  const bytes = Buffer.byteLength(path)
  if (bytes > MAX_SOCKET_BYTES) {
    const message = `expected a socket path of at most ${MAX_SOCKET_BYTES} bytes, got ${bytes} bytes; choose a shorter path`
    context.problems.add(at, message)
  }
  return path
}

function resolveToken(token: string, context: ControlContext): Replaced | null {
  const at = ['control', 'token']
  const replaced = context.own.replace(token, at)
  if (replaced === null) return null
  const { text, empty } = replaced
  if (empty.size > 0) {
    const names = Array.from(empty, (name) => `\${${name}}`).join(' and ')
    context.problems.add(at, `${names} is unset or empty; set it to a secret text`)
  } else if (!/^[\x21-\x7e]+$/.test(text)) {
    context.problems.add(at, 'expected visible ASCII characters without spaces; it has other characters')
  }
  return replaced
}

/** Returns the digest of a token. Only the digest is kept, so that no message can contain the token. */
export function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

function resolveHttp(
  http: string,
  hasToken: boolean,
  tokenDigest: string | null,
  context: ControlContext,
): ResolvedHttp | null {
  const at = ['control', 'http']
  const replaced = context.own.replace(http, at)
  if (replaced === null) return null
  const { text } = replaced
  const address = parseSocketAddress(/^\d+$/.test(text) ? `127.0.0.1:${text}` : text)
  if (address === null) {
    context.problems.add(at, `expected ${httpForm}, got ${showReplaced(replaced)}`)
    return null
  }
  if (!hasToken && !isLoopback(address.host)) {
    const message = `other machines can reach ${formatSocketAddress(address)}, so it needs a "token", such as "\${PONIX_CONTROL_TOKEN}"; or use 127.0.0.1`
    context.problems.add(at, message)
  }
  return { ...address, tokenDigest }
}

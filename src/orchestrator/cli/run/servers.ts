import type { Server } from 'node:http'
import { messageOf } from '../../config/errors.ts'
import type { ResolvedHttp } from '../../config/resolved.ts'
import { formatSocketAddress } from '../../config/socket-address.ts'
import type { ControlTarget } from '../../control/target.ts'
import type { SupervisorEvent } from '../../supervisor/events.ts'

/** Starts the control API over TCP, if the file configures it. Rejects with a UserError. */
export async function listenHttp(
  target: ControlTarget,
  http: ResolvedHttp | null,
  onEvent: (event: SupervisorEvent) => void,
): Promise<Server | null> {
  if (http === null) return null
  // Loaded late, because the first children start before it is needed.
  const { listenOnHttp } = await import('../../control/server.ts')
  const server = await listenOnHttp(target, http)
  const url = `http://${formatSocketAddress(http)}/`
  onEvent({ type: 'control_listening', url, needsToken: http.tokenDigest !== null })
  return server
}

/** Starts the control API for the commands. Supervision continues if the socket fails. */
export async function listenSocket(
  target: ControlTarget,
  path: string | null,
  warn: (message: string) => void,
): Promise<Server | null> {
  if (path === null) return null
  try {
    const { listenOnSocket } = await import('../../control/server.ts')
    return await listenOnSocket(target, path)
  } catch (error) {
    warn(`no control socket, so "status", "logs" and the other commands do not work: ${messageOf(error)}`)
    return null
  }
}

import type { ResolvedControl } from '../config/resolved.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import type { Controllable } from '../control/controllable.ts'
import type { ControlServer } from '../control/server.ts'
import type { SupervisorEvent } from '../supervisor/events.ts'
import type { RunFolder } from '../supervisor/guard/run-folder.ts'

/** Where the commands find this run; null if it takes none. */
export function socketOf(control: ResolvedControl | null, folder: RunFolder): string | null {
  return control === null ? null : (control.socketPath ?? folder.socketPath)
}

/** The control API over TCP, if the file asks for it. Rejects with a ListenError if it cannot be had. */
export async function openHttp(
  target: Controllable,
  control: ResolvedControl | null,
  onEvent: (event: SupervisorEvent) => void,
): Promise<ControlServer | null> {
  const http = control?.http ?? null
  if (http === null) return null
  const { ControlApi, ControlServer } = await loadServer()
  const server = await ControlServer.onHttp(new ControlApi(target), http)
  const url = `http://${formatSocketAddress(http)}/`
  onEvent({ type: 'control_listening', url, needsToken: http.tokenDigest !== null })
  return server
}

/** The control API for the commands. Supervision goes on without it, if it cannot be had. */
export async function openSocket(
  target: Controllable,
  path: string | null,
  warn: (message: string) => void,
): Promise<ControlServer | null> {
  if (path === null) return null
  try {
    const { ControlApi, ControlServer } = await loadServer()
    return await ControlServer.onSocket(new ControlApi(target), path)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    warn(`there is no control socket, so status, logs and the like will not work: ${reason}`)
    return null
  }
}

/** Not before it is needed: the first children are to be on their way. */
async function loadServer() {
  const [{ ControlApi }, { ControlServer }] = await Promise.all([
    import('../control/api.ts'),
    import('../control/server.ts'),
  ])
  return { ControlApi, ControlServer }
}

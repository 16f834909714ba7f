import type { ServerResponse } from 'node:http'
import type { StatusAnswer } from '../protocol.ts'
import type { ControlTarget } from '../target.ts'

type StatusTarget = Pick<ControlTarget, 'status' | 'resolveNames' | 'selectNames' | 'changes'>

/**
 * Answers with the status, a line for each change of a process, and with `intervalMs` also a line in each interval, until the reader
 * closes. A slow reader misses states and gets the latest. Throws a RequestError for an unknown name.
 */
export function followStatus(
  target: StatusTarget,
  requested: readonly string[],
  intervalMs: number | null,
  response: ServerResponse,
): void {
  target.resolveNames(requested)
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  let sent = ''
  const send = (isDue: boolean) => {
    if (response.writableNeedDrain || response.destroyed) return
    const answer = target.status(requested.length === 0 ? undefined : target.selectNames(requested))
    const states = statesIn(answer)
    if (!isDue && states === sent) return
    sent = states
    response.write(`${JSON.stringify(answer)}\n`)
  }
  const timer = intervalMs === null ? null : setInterval(() => send(true), intervalMs)
  const gone = new AbortController()
  const sendChange = () => {
    send(false)
    return false
  }
  response.on('drain', sendChange).once('close', () => {
    gone.abort()
    if (timer !== null) clearInterval(timer)
  })
  send(true)
  void target.changes.until(sendChange, gone.signal)
}

/** Returns the part of a status whose change is reported: not the usage, and not the detail, which counts seconds and attempts. */
function statesIn({ stopping, processes }: StatusAnswer): string {
  const states = processes.map(({ name, state, reason, pid, ready, restarts }) => [
    name,
    state,
    reason,
    pid,
    ready,
    restarts,
  ])
  return JSON.stringify([stopping, states])
}

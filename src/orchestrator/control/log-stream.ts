import type { ServerResponse } from 'node:http'
import type { LogHistory, LogLine } from '../supervisor/output/log-history.ts'

/** With this much not taken by the reader, lines are left out and counted. */
const FULL_BYTES = 1024 * 1024

export interface LogRequest {
  readonly processes: readonly string[]
  readonly tail: number
  readonly follow: boolean
}

/**
 * Answers with one JSON object a line: the last lines, and with `follow` what comes until the reader goes. A reader that is
 * too slow never slows a process: it misses lines, and is told how many.
 */
export function streamLogs(logs: LogHistory, { processes, tail, follow }: LogRequest, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  // The first line may be a long time coming.
  response.flushHeaders()
  const wanted = new Set(processes)
  let dropped = 0
  const send = (entries: readonly object[]) => {
    response.write(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
  }
  const tellDropped = () => {
    if (dropped > 0) send([{ dropped }])
    dropped = 0
  }
  const write = (lines: readonly LogLine[]) => {
    const chosen = lines.filter(({ process }) => wanted.has(process))
    if (chosen.length === 0) return
    if (dropped > 0 || response.writableLength > FULL_BYTES) dropped += chosen.length
    else send(chosen)
  }
  response.on('drain', tellDropped)
  write(logs.tail(processes, tail))
  if (!follow) {
    response.end()
    return
  }
  response.once('close', logs.follow(write))
}

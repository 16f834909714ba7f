import type { Duplex } from 'node:stream'
import { z } from 'zod'
import { LineSplitter } from '../supervisor/output/lines.ts'
import type { ProcessTerminal } from '../supervisor/terminal/process-terminal.ts'
import type { TerminalSize } from '../supervisor/terminal/size.ts'

/** The protocol of the upgraded connection: raw output to the viewer; lines of JSON, {@link viewerMessage}, from it. */
export const ATTACH_PROTOCOL = 'ponix-terminal'

/** The limit of unsent output and notices of a slow viewer; further ones are dropped. */
const MAX_BUFFERED_BYTES = 1024 * 1024

const length = z.coerce.number().int().min(1).max(10_000)
export const sizeQuery = z.object({ columns: length.default(80), rows: length.default(24) })

const viewerMessage = z.union([
  /** Typed bytes, in base64. */
  z.strictObject({ input: z.string() }),
  /** A new size of the viewer's terminal. */
  z.strictObject({ columns: length, rows: length }),
])
export type ViewerMessage = z.infer<typeof viewerMessage>

/** Connects a viewer to the terminal of a process until either side closes the connection. A slow viewer loses output. */
export function attachViewer(name: string, terminal: ProcessTerminal, socket: Duplex, size: TerminalSize): void {
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${ATTACH_PROTOCOL}\r\n\r\n`)
  let hasDropped = false
  const send = (bytes: Buffer | string) => {
    hasDropped ||= socket.writableLength > MAX_BUFFERED_BYTES
    if (!hasDropped) socket.write(bytes)
  }
  const notice = (text: string) => send(`\r\n[${name}: ${text}]\r\n`)
  const viewer = {
    size,
    onOutput: send,
    onNotice: notice,
    onRemoved: () => socket.end(`\r\n[${name}: removed]\r\n`),
  }
  const detach = terminal.attach(viewer)
  const onMessage = (message: ViewerMessage) => {
    if ('input' in message) {
      if (terminal.write(Buffer.from(message.input, 'base64'))) return
      socket.pause()
      return terminal.onDrained(() => void socket.resume())
    }
    viewer.size = message
    terminal.viewerResized()
  }
  const lines = new LineSplitter((text) => {
    for (const line of text.split('\n')) {
      const message = parseMessage(line)
      if (message === null) socket.destroy()
      if (message === null || socket.destroyed) return
      onMessage(message)
    }
  })
  socket.on('data', (chunk: Buffer) => lines.push(chunk))
  socket.on('drain', () => {
    if (!hasDropped) return
    hasDropped = false
    notice('output was dropped, because this terminal was too slow')
  })
  socket.on('error', () => undefined)
  socket.once('end', () => socket.end())
  socket.once('close', detach)
}

function parseMessage(line: string): ViewerMessage | null {
  try {
    return viewerMessage.parse(JSON.parse(line))
  } catch {
    return null
  }
}

import type { Duplex } from 'node:stream'
import { ATTACH_PROTOCOL, type ViewerMessage } from '../../control/attach.ts'
import { statusAnswer } from '../../control/protocol.ts'
import { DEFAULT_SIZE, sizeOf } from '../../supervisor/terminal/size.ts'
import { ControlClient } from './control-client.ts'
import { logs } from './logs.ts'
import type { FileOptions } from '../options.ts'
import { Keyboard } from '../terminal/keyboard.ts'
import { exitOnSignals } from '../terminal/terminal-mode.ts'
import { PromptLine } from '../../supervisor/output/prompt-line.ts'
import type { PrefixOptions } from '../../supervisor/output/prefixes.ts'

const LEAVE = 0x1d
const KEYS_HINT = 'attached; press ? for the keys, Ctrl-C leaves and stops nothing\n'
const DETACH_HINT = 'attached to %; Ctrl-] leaves\r\n'

/** Shows the output of all processes and reacts to keys, as `run` does, until Ctrl-C, which stops nothing. */
export async function attachToAll(file: FileOptions, prefix: PrefixOptions): Promise<void> {
  const { stdin, stdout } = process
  const options = { follow: true, tail: '20', events: true, quiet: true } as const
  const client = new ControlClient(file)
  if (stdin.isTTY && stdout.isTTY) {
    const line = new PromptLine(stdout)
    const actions = {
      status: async () => (await client.call('GET', '/status', statusAnswer)).processes,
      restart: (name: string) => client.call('POST', '/restart', statusAnswer, { body: { processes: [name] } }),
      quit: () => process.exit(0),
    }
    const keyboard = new Keyboard({ stdin, stdout, actions, prompt: line, onMode: () => undefined })
    exitOnSignals()
    const following = logs(file, [], options, { prefix, prompt: line })
    stdout.write(KEYS_HINT)
    return following.finally(() => keyboard.dispose())
  }
  await logs(file, [], options, { prefix })
}

/** Connects this terminal to that of one process, until Ctrl-] or the end of the orchestrator. */
export async function attachTo(file: FileOptions, name: string): Promise<void> {
  const { stdin, stdout, stderr } = process
  const { columns, rows } = sizeOf(stdout) ?? DEFAULT_SIZE
  const query = new URLSearchParams({ process: name, columns: String(columns), rows: String(rows) })
  const socket = await new ControlClient(file).upgrade(`/attach?${query.toString()}`, ATTACH_PROTOCOL)
  const send = (message: ViewerMessage) => socket.write(`${JSON.stringify(message)}\n`)
  if (stderr.isTTY) stderr.write(DETACH_HINT.replace('%', name))
  stdout.on('resize', () => {
    const size = sizeOf(stdout)
    if (size !== null) send(size)
  })
  if (stdin.isTTY) stdin.setRawMode(true)
  const restore = () => stdin.isTTY && stdin.setRawMode(false)
  process.on('exit', restore)
  stdin.on('data', (bytes: Buffer) => {
    const end = stdin.isTTY ? bytes.indexOf(LEAVE) : -1
    const typed = end < 0 ? bytes : bytes.subarray(0, end)
    if (typed.length > 0 && !send({ input: typed.toString('base64') })) pauseUntilDrained(socket)
    if (end >= 0) socket.end()
  })
  await new Promise<void>((resolve) => {
    socket.on('error', () => resolve()).once('close', () => resolve())
    socket.pipe(stdout, { end: false })
  })
  stdin.pause()
  restore()
  if (stderr.isTTY) stderr.write(`\r\ndetached from ${name}\r\n`)
}

function pauseUntilDrained(socket: Duplex): void {
  process.stdin.pause()
  socket.once('drain', () => process.stdin.resume())
}

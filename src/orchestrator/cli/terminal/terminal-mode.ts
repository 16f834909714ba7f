import { spawn, spawnSync, type StdioOptions } from 'node:child_process'
import { text } from 'node:stream/consumers'
import type { TerminalMode } from '../../supervisor/guard/guard.ts'
import { isInForeground } from '../../supervisor/system/process-table.ts'

const EXIT_CODES = { SIGINT: 0, SIGHUP: 129, SIGQUIT: 131, SIGTERM: 143 } as const
/** A signal to the process group, such as Ctrl-C, also ends stty. */
const MAX_ATTEMPTS = 3
/**
 * The terminal is descriptor 3 of a shell: libuv makes descriptors 0 to 2 of a child blocking, and this process reads stdin through the
 * same file description. A read would block the event loop after Ctrl-C or Ctrl-Z, which discard the keys that made stdin readable.
 */
const STDIO: StdioOptions = ['ignore', 'pipe', 'ignore', 0]

/**
 * Ends the program on a signal, so that listeners of "exit" can restore the terminal: with exit code 0 on Ctrl-C, otherwise with that
 * of the signal, as in shells.
 */
export function exitOnSignals(): void {
  for (const [signal, code] of Object.entries(EXIT_CODES)) process.once(signal, () => process.exit(code))
}

/**
 * Makes single keys readable from the terminal at stdin: they arrive without Enter and are not shown; Ctrl-C, Ctrl-Z, Ctrl-\\ and
 * Ctrl-S keep their meaning. Resolves with the mode before and after; null if `signal` is aborted, if this process is in the
 * background, where a change of the mode would stop it, or if the terminal cannot be changed.
 */
export async function enterKeyMode(signal: AbortSignal): Promise<TerminalMode | null> {
  if (!isInForeground(process.pid)) return null
  const shell = spawn('/bin/sh', ['-c', '{ tty; stty -g; } <&3'], { stdio: STDIO })
  const output = shell.stdout === null ? '' : await text(shell.stdout).catch(() => '')
  const [path = '', before = ''] = output.split('\n')
  if (signal.aborted || !path.startsWith('/') || before === '' || !isInForeground(process.pid)) return null
  // Synchronous, so that the end of this program never comes before the change.
  const current = stty('stty -icanon -echo min 1 time 0 && stty -g')
  if (current !== '') return { path, before, current }
  stty(`stty ${before}`)
  return null
}

/** Restores the mode of the terminal at stdin, synchronously. In the background, the shell has already done it. */
export function restoreMode({ before }: TerminalMode): void {
  if (isInForeground(process.pid)) stty(`stty ${before}`)
}

/** Runs a shell line that uses the terminal at stdin, again if a signal has ended it. Returns its output; empty if it failed. */
function stty(line: string): string {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const { status, signal, stdout } = spawnSync('/bin/sh', ['-c', `{ ${line}; } <&3`], { stdio: STDIO })
    if (signal === null) return status === 0 ? String(stdout).trim() : ''
  }
  return ''
}

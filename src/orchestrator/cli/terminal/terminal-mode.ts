import { spawn, spawnSync } from 'node:child_process'
import { text } from 'node:stream/consumers'
import type { TerminalMode } from '../../supervisor/guard/run-lock.ts'
import { isInForeground } from '../../supervisor/system/process-table.ts'

/** Single keys arrive without Enter and are not shown. Ctrl-C, Ctrl-Z, Ctrl-\ and Ctrl-S keep their meaning. */
const SCRIPT = 'tty; stty -g; stty -icanon -echo min 1 time 0; stty -g'

/**
 * Makes single keys readable from the terminal at stdin. Resolves with the mode before and after; null if this process is in the
 * background, where a change of the mode would stop it, or the terminal cannot be changed.
 */
export async function enterKeyMode(): Promise<TerminalMode | null> {
  if (!isInForeground(process.pid)) return null
  const shell = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['inherit', 'pipe', 'ignore'] })
  const output = await text(shell.stdout).catch(() => '')
  return parse(output)
}

/** Returns the mode from the output of the script; null if a command failed. */
function parse(output: string): TerminalMode | null {
  const [path = '', before = '', current = ''] = output.split('\n')
  return path.startsWith('/') && before !== '' && current !== '' ? { path, before, current } : null
}

/** Restores the mode of the terminal at stdin, synchronously. In the background, the shell has already done it. */
export function restoreMode({ before }: TerminalMode): void {
  if (!isInForeground(process.pid)) return
  spawnSync('stty', [before], { stdio: ['inherit', 'ignore', 'ignore'] })
}

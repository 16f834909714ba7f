import { closeSync, readdirSync, readFileSync } from 'node:fs'

/** The flag O_CLOEXEC in /proc/PID/fdinfo. */
const CLOSE_ON_EXEC = 0o2000000
const FIRST_EXTRA_DESCRIPTOR = 3

/**
 * Closes the descriptors that this process has inherited besides its standard streams, such as a pipe of the caller's shell, whose
 * reader would wait for it. Those that Node.js has opened are closed on exec; inherited ones are not. Without /proc it does nothing.
 */
export function closeInheritedDescriptors(): void {
  for (const descriptor of openDescriptors()) {
    if (descriptor < FIRST_EXTRA_DESCRIPTOR || isClosedOnExec(descriptor)) continue
    try {
      closeSync(descriptor)
    } catch {
      // The descriptor with which the folder was read.
    }
  }
}

function openDescriptors(): readonly number[] {
  try {
    return readdirSync('/proc/self/fd').map(Number)
  } catch {
    return []
  }
}

/** Returns true for a descriptor that is no longer open. */
function isClosedOnExec(descriptor: number): boolean {
  try {
    const [, flags = ''] = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1')) ?? []
    return (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) !== 0
  } catch {
    return true
  }
}

/** Tells the program that started this process in the background that it holds the lock and accepts commands. */
export function announceStart(): void {
  if (!process.connected) return
  // Without its reader the message is of no use, and the channel is closed.
  process.send?.('started', undefined, undefined, () => process.connected && process.disconnect())
}

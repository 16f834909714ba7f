import type { Readable } from 'node:stream'

/** Calls `onReady` once, when a newline arrives. Whatever else comes is read and dropped. */
export function awaitNotification(notifications: Readable, onReady: () => void, signal: AbortSignal): void {
  const listener = (bytes: Buffer) => {
    if (!bytes.includes('\n')) return
    notifications.off('data', listener).resume()
    if (!signal.aborted) onReady()
  }
  notifications.on('data', listener)
  notifications.on('error', () => {})
  signal.addEventListener('abort', () => notifications.destroy(), { once: true })
}

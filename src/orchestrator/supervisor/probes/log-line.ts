import { stripVTControlCharacters } from 'node:util'
import type { LineTap } from '../output/line-tap.ts'

/** Calls `onReady` once, at the first line of either stream that matches; colours in it are not in the way. */
export function awaitLogLine(pattern: RegExp, tap: LineTap, onReady: () => void, signal: AbortSignal): void {
  const done = new AbortController()
  const stop = () => done.abort()
  signal.addEventListener('abort', stop, { once: true })
  // A global or sticky pattern would remember where it matched last.
  const once = new RegExp(pattern.source, pattern.flags.replaceAll(/[gy]/g, ''))
  const listener = (line: string) => {
    if (done.signal.aborted || !(once.test(line) || once.test(stripVTControlCharacters(line)))) return
    signal.removeEventListener('abort', stop)
    stop()
    onReady()
  }
  tap.listen(listener, done.signal)
  if (signal.aborted) stop()
}

/**
 * Returns a signal that aborts after the time, with the reason of `AbortSignal.timeout`. That one is not used, because Node.js 20 collects
 * it while only a signal of `AbortSignal.any` depends on it, which then never aborts. Neither keeps the process alive.
 */
export function timeoutSignal(timeoutMs: number): AbortSignal {
  const timeout = new AbortController()
  const abort = (): void => timeout.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'))
  setTimeout(abort, timeoutMs).unref()
  return timeout.signal
}

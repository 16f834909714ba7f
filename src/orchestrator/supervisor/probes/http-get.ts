import { redact } from '../../config/redact.ts'
import { messageOf } from '../../config/errors.ts'

/**
 * Resolves when the URL answers 2xx or 3xx; redirects are not followed and certificates not checked, as Kubernetes does it.
 * Rejects with the reason.
 */
export async function checkHttpGet(url: string, signal: AbortSignal): Promise<void> {
  const shown = redact(url)
  // Loaded by the first probe that needs it: a graph without one starts sooner.
  const { get } = url.startsWith('https:') ? await import('node:https') : await import('node:http')
  await new Promise<void>((resolve, reject) => {
    const headers = { 'user-agent': 'ponix-orchestrator' }
    const request = get(url, { agent: false, headers, rejectUnauthorized: false })
    const abort = () => request.destroy(new Error(`${shown} did not answer`))
    const finish = (error: Error | null) => {
      signal.removeEventListener('abort', abort)
      if (error === null) resolve()
      else reject(error)
    }
    request.once('response', (response) => {
      const status = response.statusCode ?? 0
      response.destroy()
      finish(status >= 200 && status < 400 ? null : new Error(`${shown} answered ${status}`))
    })
    request.on('error', (error) => finish(new Error(messageOf(error), { cause: error })))
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
  })
}

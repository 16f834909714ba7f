import { connect } from 'node:net'
import { execa } from 'execa'
import { messageOf } from '../../config/errors.ts'
import { redact } from '../../config/redact.ts'
import { describeCwdProblem, describeSpawnError } from '../child.ts'
import { ProcessGroup } from '../process-group.ts'
import { RUN_TAG_VARIABLE } from '../process-table.ts'
import { describeExit } from '../restart-policy.ts'

/** Resolves when the address accepts a connection; names are resolved to IPv4 and IPv6. Rejects with the reason. */
export function checkTcpSocket(host: string, port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port })
    const abort = () => {
      socket.destroy()
      reject(new Error(`${host}:${port} did not answer`))
    }
    signal.addEventListener('abort', abort, { once: true })
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      resolve()
    })
    socket.once('error', (error) => {
      signal.removeEventListener('abort', abort)
      reject(new Error(messageOf(error), { cause: error }))
    })
    if (signal.aborted) abort()
  })
}

/**
 * Resolves when the URL answers 2xx or 3xx. As in Kubernetes, redirects are not followed and certificates are not verified.
 * Rejects with the reason.
 */
export async function checkHttpGet(url: string, signal: AbortSignal): Promise<void> {
  const shown = redact(url)
  // Loaded on first use, so that a graph without HTTP probes starts faster.
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

export interface ExecContext {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly runTag: string
}

/** Resolves when the command exits with 0; rejects with the reason. Kills its process group when it has exited or `signal` is aborted. */
export async function checkExec(
  command: readonly [string, ...string[]],
  context: ExecContext,
  signal: AbortSignal,
): Promise<void> {
  const problem = describeCwdProblem(context.cwd)
  if (problem !== null) throw new Error(problem)
  const [program, ...args] = command
  const subprocess = execa(program, args, {
    cwd: context.cwd,
    env: { ...context.env, [RUN_TAG_VARIABLE]: context.runTag },
    extendEnv: false,
    detached: true,
    stdio: 'ignore',
    reject: false,
    cleanup: false,
    forceKillAfterDelay: false,
  })
  const group = subprocess.pid === undefined ? null : new ProcessGroup(subprocess.pid)
  const kill = () => group?.signal('SIGKILL')
  signal.addEventListener('abort', kill, { once: true })
  const result = await subprocess
  signal.removeEventListener('abort', kill)
  if (group === null) throw new Error(describeSpawnError(result, { command: program, ...context }))
  group.signal('SIGKILL')
  if (signal.aborted) throw new Error(`${program} did not exit`)
  if (result.exitCode === 0) return
  const { exitCode: code = 1, signal: endSignal = null } = result
  throw new Error(
    `${program} ${describeExit(endSignal === null ? { code, signal: null } : { code: null, signal: endSignal })}`,
  )
}

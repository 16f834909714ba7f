import { once } from 'node:events'
import { connect } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { execa } from 'execa'
import { messageOf } from '../../config/errors.ts'
import { redact } from '../../config/redact.ts'
import { describeCwdProblem, describeSpawnError } from '../child.ts'
import { ProcessGroup } from '../process-group.ts'
import { RUN_TAG_VARIABLE } from '../process-table.ts'
import { describeExit } from '../restart-policy.ts'

/** Resolves when the address accepts a connection; names are resolved to IPv4 and IPv6. Rejects with the reason. */
export async function checkTcpSocket(host: string, port: number, signal: AbortSignal): Promise<void> {
  const socket = addAbortSignal(signal, connect({ host, port }))
  try {
    await once(socket, 'connect')
  } catch (error) {
    throw new Error(signal.aborted ? `${host}:${port} did not answer` : messageOf(error), { cause: error })
  } finally {
    socket.destroy()
  }
}

/**
 * Resolves when the URL responds with 2xx or 3xx. As in Kubernetes, redirects are not followed and certificates are not verified.
 * Rejects with the reason.
 */
export async function checkHttpGet(url: string, signal: AbortSignal): Promise<void> {
  const shown = redact(url)
  // Loaded on first use, so that a graph without HTTP probes starts faster.
  const { get } = url.startsWith('https:') ? await import('node:https') : await import('node:http')
  const options = { agent: false, headers: { 'user-agent': 'ponix-orchestrator' }, rejectUnauthorized: false, signal }
  const status = await new Promise<number>((resolve, reject) => {
    const request = get(url, options, (response) => {
      response.destroy()
      resolve(response.statusCode ?? 0)
    })
    request.on('error', (error) => {
      reject(new Error(signal.aborted ? `${shown} did not answer` : messageOf(error), { cause: error }))
    })
  })
  if (status < 200 || status >= 400) throw new Error(`${shown} answered ${status}`)
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
  const { exitCode: code = 1, signal: endSignal } = result
  const exit = endSignal === undefined ? { code, signal: null } : { code: null, signal: endSignal }
  throw new Error(`${program} ${describeExit(exit)}`)
}

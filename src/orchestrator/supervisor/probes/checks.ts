import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { redactValues, type SecretContext } from '../../config/redact.ts'
import { describeCwdProblem, describeSpawnError } from '../child/spawn-error.ts'
import { ProcessGroup } from '../child/process-group.ts'
import { RUN_TAG_VARIABLE } from '../system/process-table.ts'
import { describeExit } from '../rules/restart-policy.ts'
import { describeConnectionError } from './describe.ts'

/** The time-out follows: `no answer within 2 s`. */
const NO_ANSWER = 'no answer'
/** The limit of the line of an HTTP answer that a message shows. */
const MAX_LINE_CHARACTERS = 300

/*
 * A check rejects with the answer that it got, such as `connection refused`. `describeCheck` names the target.
 */

/** Resolves when the address accepts a connection; names are resolved to IPv4 and IPv6. Rejects with the answer. */
export async function checkTcpSocket(host: string, port: number, signal: AbortSignal): Promise<void> {
  const socket = addAbortSignal(signal, connect({ host, port }))
  try {
    await once(socket, 'connect')
  } catch (error) {
    throw new Error(signal.aborted ? NO_ANSWER : describeConnectionError(error), { cause: error })
  } finally {
    socket.destroy()
  }
}

/**
 * Resolves when the URL responds with 2xx or 3xx. As in Kubernetes, redirects are not followed and certificates are not verified.
 * Rejects with the answer: the status, and the first line of a plain text with secrets masked.
 */
export async function checkHttpGet(url: string, context: SecretContext, signal: AbortSignal): Promise<void> {
  // Loaded on first use, so that a graph without HTTP probes starts faster.
  const { get } = url.startsWith('https:') ? await import('node:https') : await import('node:http')
  const options = { agent: false, headers: { 'user-agent': 'ponix-orchestrator' }, rejectUnauthorized: false, signal }
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, options, resolve).on('error', (error) => {
      reject(new Error(signal.aborted ? NO_ANSWER : describeConnectionError(error), { cause: error }))
    })
  })
  try {
    const { statusCode: status = 0 } = response
    if (status >= 200 && status < 400) return
    const line = await firstLineOf(response)
    throw new Error(line === '' ? `answered ${status}` : `answered ${status}: ${redactValues(line, context)}`)
  } finally {
    response.destroy()
  }
}

/** Returns the first line of a plain text, up to a limit; empty for any other answer, and for one that breaks off before it. */
async function firstLineOf(response: IncomingMessage): Promise<string> {
  if (!/^text\/plain\b/i.test(response.headers['content-type'] ?? '')) return ''
  let text = ''
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      text += String(chunk)
      if (text.includes('\n') || text.length > MAX_LINE_CHARACTERS) break
    }
  } catch {
    // The status alone is the answer.
  }
  const [line = ''] = stripVTControlCharacters(text).trim().split('\n')
  return line.slice(0, MAX_LINE_CHARACTERS).replaceAll(/\p{Cc}/gu, ' ')
}

export interface ExecContext extends SecretContext {
  readonly cwd: string
  readonly runTag: string
}

/** Resolves when the command exits with 0; rejects with the answer. Kills its process group when it has exited or `signal` is aborted. */
export async function checkExec(
  command: readonly [string, ...string[]],
  context: ExecContext,
  signal: AbortSignal,
): Promise<void> {
  const problem = describeCwdProblem(context)
  if (problem !== null) throw new Error(problem)
  const [program, ...args] = command
  // Loaded on first use, so that a graph without such probes starts faster.
  const { execa } = await import('execa')
  if (signal.aborted) throw new Error('did not exit')
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
  if (signal.aborted) throw new Error('did not exit')
  if (result.exitCode === 0) return
  const { exitCode: code = 1, signal: endSignal } = result
  const exit = endSignal === undefined ? { code, signal: null } : { code: null, signal: endSignal }
  throw new Error(describeExit(exit))
}

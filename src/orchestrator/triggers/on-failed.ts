import { messageOf } from '../config/errors.ts'
import { redact, redactValues, type SecretContext } from '../config/redact.ts'
import type { ResolvedHook } from '../config/resolved.ts'
import { describeSpawnError } from '../supervisor/child/spawn-error.ts'
import { describeExit } from '../supervisor/rules/restart-policy.ts'
import { ProcessGroup } from '../supervisor/child/process-group.ts'
import { Timer } from '../supervisor/timers.ts'
import { RUN_TAG_VARIABLE } from '../supervisor/system/process-table.ts'

/** `env` is the environment of the failed process. */
export interface FailureReport extends SecretContext {
  readonly process: string
  readonly reason: string
  readonly config: string
}

export interface HookOptions {
  readonly timeoutMs: number
  /** The run tag of commands, by which the guard ends them if the orchestrator is killed. */
  readonly runTag: string | null
}

/** The time for a command to end after SIGTERM. */
const STOP_MS = 1000
/** The limit of remembered output, of which the last line is reported. */
const MAX_OUTPUT_BYTES = 4096

/** Runs a hook. Resolves with null if it has succeeded, otherwise with the reason; never rejects. */
export async function runHook(
  hook: ResolvedHook,
  report: FailureReport,
  options: HookOptions,
  signal: AbortSignal,
): Promise<string | null> {
  // Not AbortSignal.timeout: within AbortSignal.any, Node.js 20 may collect it, and then it never fires.
  const timeout = new AbortController()
  const timer = new Timer()
  timer.set(options.timeoutMs, () => timeout.abort())
  const limit = AbortSignal.any([signal, timeout.signal])
  const safe = { ...report, reason: redactValues(report.reason, report) }
  try {
    const problem = hook.type === 'webhook' ? await post(hook.url, safe, limit) : await run(hook, safe, options, limit)
    return limit.aborted ? describeAbort(signal, options) : problem
  } catch (error) {
    return limit.aborted ? describeAbort(signal, options) : describeError(error)
  } finally {
    timer.clear()
  }
}

function describeAbort(signal: AbortSignal, { timeoutMs }: HookOptions): string {
  return signal.aborted ? 'stopped because the orchestrator ends' : `stopped after its limit of ${timeoutMs / 1000} s`
}

/** Returns a message without the URL, which can contain secrets. */
function describeError(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  return redact(messageOf(cause))
}

async function post(
  url: string,
  { process, reason, config }: FailureReport,
  signal: AbortSignal,
): Promise<string | null> {
  const text = `${process} failed: ${reason}`
  const body = JSON.stringify({ text, process, reason, config, time: new Date().toISOString() })
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal })
  await response.body?.cancel()
  return response.ok ? null : `the webhook at ${new URL(url).host} answered ${response.status}`
}

async function run(
  { command, args, cwd }: Extract<ResolvedHook, { type: 'command' }>,
  report: FailureReport,
  { runTag }: HookOptions,
  signal: AbortSignal,
): Promise<string | null> {
  // Loaded on first use, so that the orchestrator starts faster.
  const { execa } = await import('execa')
  const tag = runTag === null ? {} : { [RUN_TAG_VARIABLE]: runTag }
  const child = execa(command, args, {
    cwd,
    env: { ...report.env, ...tag, PONIX_PROCESS: report.process, PONIX_REASON: report.reason },
    extendEnv: false,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    buffer: false,
    reject: false,
    cleanup: false,
  })
  const { pid } = child
  if (pid === undefined) return describeSpawnError(await child, { ...report, command, cwd })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-MAX_OUTPUT_BYTES)))
  }
  const exited = new Promise<string | null>((resolve) => {
    child.once('exit', (code: number | null, name: NodeJS.Signals | null) => {
      const exit = name === null ? { code: code ?? 0, signal: null } : { code: null, signal: name }
      // The output of the child is complete, or a descendant holds it.
      setImmediate(() => resolve(code === 0 ? null : withLastLine(describeExit(exit), output, report)))
    })
  })
  const group = new ProcessGroup(pid)
  const end = () =>
    void group.terminate({ signal: 'SIGTERM', timeoutMs: STOP_MS, leaderExited: exited, onKill: () => undefined })
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  return exited.finally(() => signal.removeEventListener('abort', end))
}

function withLastLine(text: string, output: string, secrets: SecretContext): string {
  const last = output.trimEnd().split('\n').at(-1) ?? ''
  return last === '' ? text : `${text}: ${redactValues(last, secrets)}`
}

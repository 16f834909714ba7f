import { execa } from 'execa'
import { ProcessGroup } from '../process-group.ts'
import { MARK_VARIABLE } from '../process-table.ts'
import { describeCwdProblem, describeSpawnError } from '../child.ts'

export interface ExecContext {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly mark: string
}

/**
 * Resolves when the command exits with 0, in a process group of its own that is killed when `signal` is aborted. Rejects with
 * the reason.
 */
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
    env: { ...context.env, [MARK_VARIABLE]: context.mark },
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
  if (signal.aborted) throw new Error(`${program} did not end`)
  if (result.exitCode !== 0) throw new Error(`${program} ${describeEnd(result.exitCode, result.signal)}`)
}

function describeEnd(code: number | undefined, signal: string | undefined): string {
  return signal === undefined ? `exited with code ${code}` : `was ended by ${signal}`
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { ResolvedProcess } from '../../config/resolved.ts'
import type { ExitResult } from '../events.ts'
import { RUN_TAG_VARIABLE } from '../system/process-table.ts'
import { type ChildDisplay, terminalVariables } from '../terminal/child-environment.ts'
import type { ChildTerminal } from '../terminal/process-terminal.ts'
import { openPseudoTerminal } from '../terminal/pseudo-terminal.ts'
import { ProcessGroup, type Group } from './process-group.ts'
import { candidates, findProgram, interpreterOf, statOf } from './program.ts'
import { describeCwdProblem, describeSpawnError, type SpawnAttempt } from './spawn-error.ts'

/** The file descriptor to which a child with a `notify` probe writes a newline. */
const NOTIFY_FD = 3

export interface Child {
  readonly pid: number
  /** The process group that the child leads. */
  readonly group: Group
  readonly stdout: Readable
  readonly stderr: Readable
  /** The stream of NOTIFY_FD; null without a `notify` probe. */
  readonly notifications: Readable | null
  /** The pseudo-terminal that is its stdin, stdout and stderr; `stdout` is then its output. Null without `tty`. */
  readonly terminal: ChildTerminal | null
  /** Resolves when the child has exited, even if a descendant keeps its streams open. Never rejects. */
  readonly exited: Promise<ExitResult>
}

export type SpawnResult =
  | { readonly type: 'spawned'; readonly child: Child }
  /** `message` is the reason. Never rejects. */
  | { readonly type: 'failed'; readonly message: Promise<string> }

export type SpawnChild = (definition: ResolvedProcess, runTag: string, display: ChildDisplay) => SpawnResult

/**
 * Starts a child as the leader of a new process group, with an empty stdin or a pseudo-terminal, and only the environment of its
 * definition.
 */
export function spawnChild(definition: ResolvedProcess, runTag: string, display: ChildDisplay): SpawnResult {
  const problem = describeCwdProblem(definition)
  if (problem !== null) return { type: 'failed', message: Promise.resolve(problem) }
  try {
    return definition.tty ? launchInTerminal(definition, runTag, display) : launch(definition, runTag, display)
  } catch (error) {
    return { type: 'failed', message: Promise.resolve(describeSpawnError(error, attemptOf(definition))) }
  }
}

/** Omits a shell line: it can contain secrets, and the program that could not be started is the shell. */
function attemptOf({ command, shell, cwd, env, secretNames }: ResolvedProcess): SpawnAttempt {
  return { command: shell ? '/bin/sh' : command, cwd, env, secretNames }
}

function launch(definition: ResolvedProcess, runTag: string, { colours }: ChildDisplay): SpawnResult {
  const notifies = definition.readinessProbe?.check.type === 'notify'
  const attempt = attemptOf(definition)
  const args = definition.shell ? ['-c', definition.command] : definition.args
  // Not execa: its promises, streams and errors cost as much as a third of the spawn itself, and none of them is used here.
  const subprocess = spawn(attempt.command, args, {
    cwd: definition.cwd,
    env: {
      ...terminalVariables(colours, definition.env),
      ...definition.env,
      [RUN_TAG_VARIABLE]: runTag,
      ...(notifies ? { NOTIFY_FD: String(NOTIFY_FD) } : {}),
    },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', ...(notifies ? ['pipe' as const] : [])],
  })
  const { pid, stdout, stderr } = subprocess
  if (pid === undefined || stdout === null || stderr === null) {
    const failed = once(subprocess, 'error')
    return { type: 'failed', message: failed.then(([error]) => describeSpawnError(error, attempt)) }
  }
  const exited = new Promise<ExitResult>((resolve) => {
    subprocess.once('exit', (code: number | null, signal: NodeJS.Signals | null) =>
      resolve(signal === null ? { code: code ?? 0, signal } : { code: null, signal }),
    )
  })
  const notifications = subprocess.stdio[NOTIFY_FD]
  const child = {
    pid,
    group: new ProcessGroup(pid),
    stdout,
    stderr,
    notifications: notifications instanceof Readable ? notifications : null,
    terminal: null,
    exited,
  }
  return { type: 'spawned', child }
}

/** Starts a child that leads a session with a pseudo-terminal of its own. */
function launchInTerminal(definition: ResolvedProcess, runTag: string, { size }: ChildDisplay): SpawnResult {
  const { cwd, env, shell, command, args } = definition
  const terminal = openPseudoTerminal({
    program: findExecutable(attemptOf(definition)),
    args: shell ? ['-c', command] : args,
    cwd,
    env: { TERM: 'xterm-256color', ...env, [RUN_TAG_VARIABLE]: runTag },
    size,
  })
  const { pid, input, output: stdout, exited } = terminal
  return {
    type: 'spawned',
    child: {
      pid,
      group: new ProcessGroup(pid),
      stdout,
      stderr: Readable.from([]),
      notifications: null,
      terminal: { pid, input, resize: (next) => terminal.resize(next) },
      exited,
    },
  }
}

/** Returns the reason why a start of this program would fail now; null if none is found. */
export function describeProgramProblem(definition: ResolvedProcess): string | null {
  const attempt = attemptOf(definition)
  try {
    findExecutable(attempt)
    return null
  } catch (error) {
    return describeSpawnError(error, attempt)
  }
}

/** Returns the path of the program. Throws as a spawn does, because a pseudo-terminal reports a missing program as an exit. */
function findExecutable(attempt: SpawnAttempt): string {
  const found = findProgram(attempt)
  if (found === null)
    throw new SpawnError(candidates(attempt).some((path) => statOf(path) !== null) ? 'EACCES' : 'ENOENT')
  const interpreter = interpreterOf(found)
  if (interpreter !== null && statOf(interpreter) === null) throw new SpawnError('ENOENT')
  return found
}

class SpawnError extends Error {
  readonly code: string

  constructor(code: string) {
    super(code)
    this.code = code
  }
}

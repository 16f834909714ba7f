import type { Readable } from 'node:stream'
import { execa } from 'execa'
import type { ResolvedProcess } from '../config/resolved.ts'
import type { ExitResult } from './events.ts'
import { MARK_VARIABLE } from './process-table.ts'
import { ProcessGroup, type Group } from './process-group.ts'
import { describeCwdProblem, describeSpawnError, type SpawnAttempt } from './spawn-error.ts'

/** The file descriptor that a child with a `notify` probe writes its newline to. */
const NOTIFY_FD = 3

export interface Child {
  readonly pid: number
  /** The child and what it starts. */
  readonly group: Group
  readonly stdout: Readable
  readonly stderr: Readable
  /** What it writes to NOTIFY_FD; null without a `notify` probe. */
  readonly notifications: Readable | null
  /** Resolves when the child itself is gone, whoever may still hold its streams. Never rejects. */
  readonly exited: Promise<ExitResult>
}

export type SpawnResult =
  | { readonly type: 'spawned'; readonly child: Child }
  /** `message` says why, for people. Never rejects. */
  | { readonly type: 'failed'; readonly message: Promise<string> }

export type SpawnChild = (process: ResolvedProcess, mark: string) => SpawnResult

/** Starts a child as the leader of a process group of its own, with stdin empty and only the environment it was given. */
export function spawnChild(process: ResolvedProcess, mark: string): SpawnResult {
  const problem = describeCwdProblem(process.cwd)
  if (problem !== null) return { type: 'failed', message: Promise.resolve(problem) }
  try {
    return launch(process, mark)
  } catch (error) {
    return { type: 'failed', message: Promise.resolve(describeSpawnError(error, attemptOf(process))) }
  }
}

/** A line for the shell is not named: it may hold secrets (O-42), and it is the shell that could not be started. */
function attemptOf({ command, shell, cwd, env }: ResolvedProcess): SpawnAttempt {
  return { command: shell ? '/bin/sh' : command, cwd, env }
}

function launch(definition: ResolvedProcess, mark: string): SpawnResult {
  const notifies = definition.readinessProbe?.check.type === 'notify'
  const attempt = attemptOf(definition)
  const args = definition.shell ? ['-c', definition.command] : [...definition.args]
  const subprocess = execa(attempt.command, args, {
    cwd: definition.cwd,
    env: { ...definition.env, [MARK_VARIABLE]: mark, ...(notifies ? { NOTIFY_FD: String(NOTIFY_FD) } : {}) },
    extendEnv: false,
    detached: true,
    stdio: notifies ? ['ignore', 'pipe', 'pipe', 'pipe'] : ['ignore', 'pipe', 'pipe'],
    buffer: false,
    encoding: 'buffer',
    stripFinalNewline: false,
    reject: false,
    cleanup: false,
    forceKillAfterDelay: false,
  })
  const { pid, stdout, stderr } = subprocess
  if (pid === undefined) {
    return { type: 'failed', message: subprocess.then((result) => describeSpawnError(result, attempt)) }
  }
  const exited = new Promise<ExitResult>((resolve) => {
    subprocess.once('exit', (code: number | null, signal: NodeJS.Signals | null) => resolve(exitResult(code, signal)))
  })
  const notifications = notifies ? readableOf(subprocess.stdio[NOTIFY_FD]) : null
  return { type: 'spawned', child: { pid, group: new ProcessGroup(pid), stdout, stderr, notifications, exited } }
}

function exitResult(code: number | null, signal: NodeJS.Signals | null): ExitResult {
  return signal === null ? { code: code ?? 0, signal } : { code: null, signal }
}

function readableOf(stream: unknown): Readable | null {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- execa's types do not follow a conditional stdio
  return (stream ?? null) as Readable | null
}

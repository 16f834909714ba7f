import { spawn } from 'node:child_process'
import type { SpawnOptions } from 'node:child_process'

export interface CommandResult {
  /** Null if it was killed or could not start. */
  readonly code: number | null
  /** The last 64 KiB of stdout and stderr. */
  readonly output: string
}

export interface CommandOptions extends Pick<SpawnOptions, 'cwd' | 'env' | 'uid' | 'gid'> {
  readonly input?: string
  readonly signal?: AbortSignal
}

const MAX_OUTPUT = 65_536

/** Runs a program to its end. Never rejects: a program that cannot start has the code null and the reason as output. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { input, ...spawnOptions } = options
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(command, args, { ...spawnOptions, stdio: 'pipe' })
    const keep = (chunk: string): void => {
      output = (output + chunk).slice(-MAX_OUTPUT)
    }
    child.stdout.setEncoding('utf8').on('data', keep)
    child.stderr.setEncoding('utf8').on('data', keep)
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    child.once('error', (error) => resolve({ code: null, output: output === '' ? error.message : output }))
    child.once('close', (code) => resolve({ code, output }))
  })
}

/** Returns the last non-empty lines, joined to one line. */
export function lastLines(output: string, count: number): string {
  return output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(-count)
    .join(' | ')
}

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ProgramRun } from './program-run.ts'

const program = join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'ponix-embedded.js')

/** `ponix-embedded` as a person runs it, except that it announces readiness to {@link ProgramRun.ready}. */
export function embedded(args: readonly string[], env: NodeJS.ProcessEnv = {}): ProgramRun {
  return new ProgramRun(process.execPath, [program, ...args], {
    env: { ...process.env, NOTIFY_FD: '3', PONIX_LOG_LEVEL: 'info', ...env },
  })
}

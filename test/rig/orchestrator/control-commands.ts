import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { CommandLine } from './command-line.ts'
import type { Program } from '../program.ts'
import { statusAnswer, type ProcessStatus } from '../../../src/orchestrator/control/protocol.ts'

/** A process that runs until it is stopped. */
export const sleeper = { command: 'sleep', args: ['600'] }

/** Returns a process that prints a text and then runs until it is stopped. */
export const echo = (text: string) => ({ command: `echo ${text}; exec sleep 600`, shell: true })

/** Registers hooks: one command line per test file, and at most one orchestrator per test, which is stopped after the test. */
export function controlCommands() {
  let program: CommandLine
  let running: Program | null = null
  beforeAll(async () => {
    program = new CommandLine()
  })
  afterEach(async () => {
    running?.signal('SIGTERM')
    await running?.outcome
    running = null
  })
  afterAll(() => program.dispose())

  /** Runs the file that the test has written. */
  const run = (...args: readonly string[]): Program => {
    running = program.start(...args)
    return running
  }

  const begin = (processes: object, ...args: readonly string[]): Program => {
    program.writeConfig({ processes })
    return run(...args)
  }

  /** Resolves when all processes are ready. */
  const start = async (processes: object, ...args: readonly string[]): Promise<Program> => {
    const started = begin(processes, ...args)
    await started.seen(/ready after/)
    return started
  }

  const status = async (...args: readonly string[]): Promise<Readonly<Record<string, ProcessStatus>>> => {
    const { code, stdout } = await program.run('status', '--json', ...args)
    expect(code).toBe(0)
    const { processes } = statusAnswer.parse(JSON.parse(stdout))
    return Object.fromEntries(processes.map((process) => [process.name, process]))
  }

  return {
    run,
    begin,
    start,
    status,
    get program() {
      return program
    },
    get running() {
      return running
    },
  }
}

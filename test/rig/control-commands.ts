import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { CommandLine } from './command-line.ts'
import type { Program } from './program.ts'
import { statusAnswer, type ProcessStatus } from '../../src/orchestrator/control/protocol.ts'

/** Runs until it is stopped. */
export const sleeper = { command: 'sleep', args: ['600'] }

/** Prints a text, then runs until it is stopped. */
export const echo = (text: string) => ({ command: `echo ${text}; exec sleep 600`, shell: true })

/** For a test file: one command line, and for each test at most one orchestrator, which is stopped after the test. */
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

  const begin = (processes: object): Program => {
    program.writeConfig({ processes })
    running = program.start()
    return running
  }

  /** Resolves when all processes are ready. */
  const start = async (processes: object): Promise<Program> => {
    const started = begin(processes)
    await started.seen(/ready after/)
    return started
  }

  const status = async (): Promise<Readonly<Record<string, ProcessStatus>>> => {
    const { code, stdout } = await program.run('status', '--json')
    expect(code).toBe(0)
    const { processes } = statusAnswer.parse(JSON.parse(stdout))
    return Object.fromEntries(processes.map((process) => [process.name, process]))
  }

  return {
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

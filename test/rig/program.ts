import { spawn } from 'node:child_process'
import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The absolute path of the root of the project. */
export const projectRoot = fileURLToPath(new URL('../..', import.meta.url))

/** Returns a program of `dist/`, such as `cli` or `analytics`; the global set-up of the tests keeps `dist/` current. */
export function builtProgram(name: string): string {
  return join(projectRoot, 'dist', `${name}.js`)
}

/** The built worker thread of analytics: a worker thread of a test cannot run TypeScript. */
export const evaluationWorkerUrl = pathToFileURL(builtProgram('analytics-worker'))

export interface Outcome {
  /** The exit code, or the signal that ended the program. */
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

export interface ProgramOptions extends Pick<SpawnOptions, 'cwd' | 'env' | 'detached' | 'uid' | 'gid'> {
  /** Opens a pipe to standard input, which is empty otherwise. */
  readonly stdin?: boolean
  /** Passes descriptor 3 as NOTIFY_FD, for {@link Program.ready}. */
  readonly notify?: boolean
}

/** Starts `ponix-embedded` as on a command line, except that it announces readiness to {@link Program.ready}. */
export function embedded(args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  return new Program(process.execPath, [join(projectRoot, 'bin/ponix-embedded.js'), ...args], {
    stdin: true,
    notify: true,
    env: { ...process.env, PONIX_LOG_LEVEL: 'info', ...env },
  })
}

const running = new Set<Program>()

/** Kills every program that still runs; called after the last test of each file, whether or not its tests pass. */
export async function killPrograms(): Promise<void> {
  for (const program of running) {
    if (program.isDetached) program.signalGroup('SIGKILL')
    await program.kill()
  }
}

/** A program that a test starts, reads and stops. */
export class Program implements AsyncDisposable {
  readonly child: ChildProcess
  /** Whether the program has its own process group. */
  readonly isDetached: boolean
  readonly outcome: Promise<Outcome>
  stdout = ''
  stderr = ''
  /** The lines of both streams in the order of their arrival. */
  readonly outputLines: string[] = []
  readonly #notified: Promise<boolean>
  readonly #waiting = new Set<() => void>()
  #hasEnded = false

  constructor(command: string, args: readonly string[], options: ProgramOptions = {}) {
    const { stdin = false, notify = false, env = process.env, ...spawnOptions } = options
    this.isDetached = options.detached === true
    this.child = spawn(command, args, {
      ...spawnOptions,
      env: notify ? { ...env, NOTIFY_FD: '3' } : env,
      stdio: [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe', notify ? 'pipe' : 'ignore'],
    })
    this.#read('stdout')
    this.#read('stderr')
    const [, , , pipe] = this.child.stdio
    this.#notified = new Promise((resolve) => {
      pipe?.once('data', () => resolve(true)).once('close', () => resolve(false))
    })
    running.add(this)
    this.outcome = this.#end()
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.child.spawnfile}: not started`)
    return this.child.pid
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Resolves with the match when one of the outputs contains it, past or future; rejects if the program ends before that. */
  async seen(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr)
      if (match !== null) return match
      await this.moreOutput(`a match of ${pattern}`)
    }
  }

  /** Resolves with the first line from number `from` on that matches, and the number of the line after it. */
  async outputLine(pattern: RegExp, from = 0): Promise<{ readonly text: string; readonly next: number }> {
    for (let index = from; ; index += 1) {
      while (index >= this.outputLines.length) await this.moreOutput(`a line that matches ${pattern}`)
      const text = this.outputLines[index] ?? ''
      if (pattern.test(text)) return { text, next: index + 1 }
    }
  }

  /** Resolves at the next output; rejects with all of it if the program has ended. */
  async moreOutput(expected: string): Promise<void> {
    if (this.#hasEnded) {
      const { code, stdout, stderr } = await this.outcome
      throw new Error(`ended with ${code} without ${expected}:\n${stdout}${stderr}`)
    }
    await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  /** Resolves when the program has written to NOTIFY_FD. */
  async ready(): Promise<void> {
    if (await this.#notified) return
    const { code, stdout, stderr } = await this.outcome
    throw new Error(`ended with ${code} and was not ready:\n${stdout}${stderr}`)
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** Sends a signal to the program and its process group, as a terminal does for Ctrl-C. */
  signalGroup(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal)
  }

  endInput(): void {
    this.child.stdin?.end()
  }

  /** Sends SIGTERM; resolves with the exit code, or with the signal that ended the program. */
  async stop(): Promise<number | string> {
    this.signal('SIGTERM')
    return (await this.outcome).code
  }

  /** Sends SIGKILL; resolves when the program has ended. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.outcome
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }

  #read(name: 'stdout' | 'stderr'): void {
    const stream = this.child[name]
    if (stream === null) return
    // Each stream is split separately: half a line of one must not be joined with a line of the other.
    createInterface({ input: stream }).on('line', (line) => this.outputLines.push(line))
    stream.setEncoding('utf8').on('data', (text: string) => {
      this[name] += text
      this.#wake()
    })
  }

  async #end(): Promise<Outcome> {
    const [code, signal]: unknown[] = await once(this.child, 'close').finally(() => {
      running.delete(this)
      this.#hasEnded = true
      this.#wake()
    })
    return { code: typeof code === 'number' ? code : String(signal), stdout: this.stdout, stderr: this.stderr }
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }
}

/** A line of a service's log; a line that is not JSON is its own message. */
export interface ServiceLine {
  readonly msg: string
  readonly [field: string]: unknown
}

/** A built service; its log is read line by line. */
export class ServiceProcess extends Program {
  readonly #lines: ServiceLine[] = []

  constructor(name: string, environment: Readonly<Record<string, string>>, args: readonly string[] = []) {
    const env = { PATH: process.env['PATH'], ...environment }
    super(process.execPath, [builtProgram(name), ...args], { env })
  }

  get lines(): readonly ServiceLine[] {
    for (const line of this.outputLines.slice(this.#lines.length)) this.#lines.push(parseLine(line))
    return this.#lines
  }

  /** Resolves with the first line, past or future, whose message contains the text; rejects if the program ends before that. */
  async line(text: string): Promise<ServiceLine> {
    const [line = { msg: '' }] = await this.matchingLines(`"${text}"`, ({ msg }) => msg.includes(text))
    return line
  }

  /** Resolves when at least `count` lines, past and future, match; rejects if the program ends before that. */
  async matchingLines(
    description: string,
    matches: (line: ServiceLine) => boolean,
    count = 1,
  ): Promise<readonly ServiceLine[]> {
    for (;;) {
      const found = this.lines.filter(matches)
      if (found.length >= count) return found
      await this.moreOutput(`${count} × ${description}`)
    }
  }
}

function parseLine(text: string): ServiceLine {
  try {
    const line: unknown = JSON.parse(text)
    if (typeof line === 'object' && line !== null && 'msg' in line && typeof line.msg === 'string') {
      return { ...line, msg: line.msg }
    }
  } catch {
    // A program that cannot start prints one line of text.
  }
  return { msg: text }
}

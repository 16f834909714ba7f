import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The program of a service, bundled as the build does it. */
export interface BundledService extends AsyncDisposable {
  readonly path: string
}

export async function bundleService(name: string): Promise<BundledService> {
  const folder = await mkdtemp(join(tmpdir(), `ponix-${name}-`))
  const build = await rolldown({
    input: join(root, 'services', name, 'main.ts'),
    cwd: root,
    platform: 'node',
    external: ['pg-native'],
    tsconfig: join(root, 'tsconfig.json'),
    onLog: () => undefined,
  })
  const path = join(folder, `${name}.mjs`)
  await build.write({ file: path, format: 'esm', codeSplitting: false })
  await build.close()
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}

/** A line that the program wrote. */
export interface ServiceLine {
  readonly msg: string
  readonly [field: string]: unknown
}

/** A service as a child process; its log is read line by line. */
export class ServiceProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: ServiceLine[] = []
  readonly #exit: Promise<unknown>

  constructor(path: string, environment: Readonly<Record<string, string>>, args: readonly string[] = []) {
    this.#child = spawn(process.execPath, [path, ...args], {
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) this.#read(stream)
    }
    this.#exit = once(this.#child, 'close')
    this.#child.setMaxListeners(0)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get lines(): readonly ServiceLine[] {
    return this.#lines
  }

  /** Resolves at the first line, past or future, whose message contains the text; rejects if the program ends without it. */
  async line(text: string): Promise<ServiceLine> {
    await this.says(text, ({ msg }) => msg.includes(text))
    return this.#lines.find(({ msg }) => msg.includes(text)) ?? { msg: '' }
  }

  /** Resolves when so many lines, past and future, are as wanted; rejects if the program ends before. */
  async says(what: string, wanted: (line: ServiceLine) => boolean, times = 1): Promise<void> {
    const ended = this.#exit.then(() => 'ended' as const)
    const said = (): boolean => this.#lines.filter(wanted).length >= times
    while (!said()) {
      const event = await Promise.race([once(this.#child, 'line'), ended])
      if (event === 'ended' && !said()) {
        throw new Error(`it ended before it said "${what}":\n${this.#lines.map(({ msg }) => msg).join('\n')}`)
      }
    }
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }

  /** SIGTERM; resolves to the exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM')
    return this.exited()
  }

  /** Resolves to the exit code when the program has ended. */
  async exited(): Promise<number | null> {
    await this.#exit
    return this.#child.exitCode
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }

  /** Each stream has lines of its own: the beginning of one must not meet the end of the other's. */
  #read(stream: Readable): void {
    createInterface({ input: stream }).on('line', (line) => {
      this.#lines.push(lineOf(line))
      this.#child.emit('line')
    })
  }
}

function lineOf(text: string): ServiceLine {
  try {
    const line: unknown = JSON.parse(text)
    if (typeof line === 'object' && line !== null && 'msg' in line && typeof line.msg === 'string') {
      return { ...line, msg: line.msg }
    }
  } catch {
    // Not of the log: the one line of a program that cannot start.
  }
  return { msg: text }
}

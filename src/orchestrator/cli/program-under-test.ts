import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { rolldown } from 'rolldown'

const root = join(import.meta.dirname, '..', '..', '..')

export interface Outcome {
  /** The exit code, or the signal that it died of. */
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

/** For tests: the program as users have it, bundled, with a folder of its own to work in. */
export class ProgramUnderTest {
  /** Its working directory. */
  readonly folder = mkdtempSync(join(tmpdir(), 'ponix-cli-'))
  /** Added to that of whatever is started from now on. */
  environment: Readonly<Record<string, string>> = {}
  readonly #built: string
  readonly #running = new Set<RunningProgram>()

  private constructor(built: string) {
    this.#built = built
  }

  /** Bundles the sources. Into `.ponix`, because the program finds its package.json upwards from itself. */
  static async build(): Promise<ProgramUnderTest> {
    mkdirSync(join(root, '.ponix'), { recursive: true })
    const built = mkdtempSync(join(root, '.ponix', 'test-cli-'))
    const input = {
      cli: join(root, 'src/orchestrator/cli/main.ts'),
      guard: join(root, 'src/orchestrator/supervisor/guard/main.ts'),
    }
    const build = await rolldown({ input, cwd: root, platform: 'node' })
    await build.write({ dir: built, format: 'esm', entryFileNames: '[name].js' })
    await build.close()
    return new ProgramUnderTest(built)
  }

  /** Of the built program. */
  get path(): string {
    return join(this.#built, 'cli.js')
  }

  /** Kills what still runs and removes what was built. */
  async dispose(): Promise<void> {
    await Promise.all([...this.#running].map((program) => program.kill()))
    // Those that were killed have guards, which need what was built.
    while (this.guards().length > 0) await delay(10)
    rmSync(this.#built, { recursive: true, force: true })
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Writes a configuration; a string as it is. */
  writeConfig(config: unknown, name = 'commonplace.json'): void {
    writeFileSync(join(this.folder, name), typeof config === 'string' ? config : JSON.stringify(config))
  }

  /** Ids of the guards that live of the programs that were started here. */
  guards(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && commandOf(name).includes(`ponix-guard\0${this.folder}`))
      .map(Number)
  }

  start(...args: readonly string[]): RunningProgram {
    const child = spawn(process.execPath, [this.path, ...args], {
      cwd: this.folder,
      env: { ...process.env, XDG_RUNTIME_DIR: this.folder, ...this.environment },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const program = new RunningProgram(child)
    this.#running.add(program)
    void program.outcome.then(() => this.#running.delete(program))
    return program
  }

  run(...args: readonly string[]): Promise<Outcome> {
    return this.start(...args).outcome
  }
}

/** A started program whose output can be waited for. */
export class RunningProgram {
  readonly child: ChildProcess
  readonly outcome: Promise<Outcome>
  stdout = ''
  stderr = ''
  readonly #waiting = new Set<() => void>()

  constructor(child: ChildProcess) {
    this.child = child
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#add({ stdout: text, stderr: '' }))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#add({ stdout: '', stderr: text }))
    this.outcome = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        resolve({ code: code ?? String(signal), stdout: this.stdout, stderr: this.stderr })
      })
    })
  }

  /** Resolves with the match as soon as both outputs together hold one, however often that is asked. */
  async seen(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr)
      if (match !== null) return match
      const more = new Promise<'more'>((resolve) => this.#waiting.add(() => resolve('more')))
      const next = await Promise.race([more, this.outcome])
      if (next !== 'more' && pattern.exec(this.stdout) === null && pattern.exec(this.stderr) === null) {
        throw new Error(`ended with ${next.code} before ${pattern} was seen:\n${this.stdout}${this.stderr}`)
      }
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** To the program and all of its process group, as a terminal does it. */
  signalGroup(signal: NodeJS.Signals): void {
    if (this.child.pid !== undefined) process.kill(-this.child.pid, signal)
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.outcome
  }

  #add(text: { readonly stdout: string; readonly stderr: string }): void {
    this.stdout += text.stdout
    this.stderr += text.stderr
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}

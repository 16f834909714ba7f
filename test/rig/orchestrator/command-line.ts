import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { builtProgram, type Outcome, Program } from '../program.ts'

/** The built `ponix-orchestrator` with its own working directory. */
export class CommandLine {
  readonly path = builtProgram('cli')
  /** The working directory. */
  readonly folder = mkdtempSync(join(tmpdir(), 'ponix-cli-'))
  /** Variables added to the environment of programs that are started later. */
  environment: Readonly<Record<string, string>> = {}
  readonly #started: Program[] = []

  /** Kills the programs that still run, detached ones too, waits for their guards to end, and removes the folder. */
  async dispose(): Promise<void> {
    await Promise.all(this.#started.filter((program) => !program.hasEnded).map((program) => program.kill()))
    for (const pid of this.#detached()) process.kill(pid, 'SIGKILL')
    await vi.waitUntil(() => this.guards().length === 0, { timeout: 20_000, interval: 10 })
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Writes a configuration file; a string is written unchanged. */
  writeConfig(config: unknown, name = 'commonplace.json'): void {
    writeFileSync(join(this.folder, name), typeof config === 'string' ? config : JSON.stringify(config))
  }

  /** Creates a symbolic link in the working directory. */
  link(name: string, target: string): void {
    symlinkSync(target, join(this.folder, name))
  }

  /** Removes a file of the working directory. */
  remove(name: string): void {
    rmSync(join(this.folder, name))
  }

  /** Returns the ids of the running guards of programs started here. */
  guards(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && commandOf(name).includes(`ponix-guard.sh\0${this.folder}`))
      .map(Number)
  }

  /** Returns the folders of runs, and the files in them. */
  runFolders(): readonly string[] {
    const parent = join(this.folder, 'ponix-orchestrator')
    return existsSync(parent) ? readdirSync(parent, { recursive: true }).map(String) : []
  }

  /** Returns the content of a file in the working directory. */
  read(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8')
  }

  /** Returns the ids of the orchestrators that run in the background. */
  #detached(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((name) => commandOf(name).includes('\0--detached') && commandOf(name).includes(this.folder))
      .map(Number)
  }

  start(...args: readonly string[]): Program {
    return this.#start(process.execPath, [this.path, ...args])
  }

  run(...args: readonly string[]): Promise<Outcome> {
    return this.start(...args).outcome
  }

  /** Starts a shell line in which `ponix` runs the program. */
  startShell(line: string): Program {
    return this.#start('/bin/sh', ['-c', `ponix() { '${process.execPath}' '${this.path}' "$@"; }; ${line}`])
  }

  #start(command: string, args: readonly string[]): Program {
    const program = new Program(command, args, {
      cwd: this.folder,
      env: { ...process.env, XDG_RUNTIME_DIR: this.folder, XDG_STATE_HOME: this.folder, ...this.environment },
      detached: true,
    })
    this.#started.push(program)
    return program
  }
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}

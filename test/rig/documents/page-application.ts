import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Outcome, type Program, projectRoot } from '../program.ts'
import { freePort } from '../servers.ts'
import { type Terminal, TerminalCommandLine } from '../orchestrator/terminal.ts'
import { type Values, withValues } from './document-commands.ts'

const READY = /process(es are| is) ready after/

/** Programs of the examples, by their path; a port that a document names is replaced. */
const FILES: Readonly<Record<string, string>> = {
  '.env': 'DB_PASSWORD=change-me\n',
  'package.json': JSON.stringify({ name: 'shop', private: true, scripts: { watch: 'node server.js' } }),
  'server.js': `console.log('web is up'); setInterval(() => {}, 1000)`,
  'worker.mjs': `console.log('worker is up'); setInterval(() => {}, 1000)`,
  'migrate.mjs': `console.log('applied 001_customers.sql')`,
  'api.mjs': `import { createServer } from 'node:http'
    createServer((_, response) => response.end('ok')).listen(8080, '127.0.0.1', () => console.log('level=warn msg="api is up"'))`,
  'node_modules/.bin/postgres': `require('node:net').createServer().listen(5433, '127.0.0.1')`,
  'node_modules/.bin/my-store': `require('node:net').createServer().listen(5432, '127.0.0.1')`,
  'node_modules/.bin/maildev': `setInterval(() => {}, 1000)`,
}

/** The application of a page: a folder with its example as `commonplace.json`, the programs of the example, and this package. */
export class PageApplication implements AsyncDisposable {
  readonly #commandLine = new TerminalCommandLine()
  readonly #values: Values
  #running: Program | null = null

  /** Creates the application with free ports instead of those of the example. */
  static async create(example: string): Promise<PageApplication> {
    const ports = ['5432', '5433', '8080', '19200']
    const values = await Promise.all(ports.map(async (port) => [port, String(await freePort())] as const))
    return new PageApplication(example, values)
  }

  private constructor(example: string, values: Values) {
    this.#values = values
    const { folder } = this
    const bin = join(folder, 'node_modules/.bin')
    mkdirSync(bin, { recursive: true })
    mkdirSync(join(folder, 'src'))
    mkdirSync(join(folder, '.config/fish/completions'), { recursive: true })
    symlinkSync(join(projectRoot, 'bin/ponix-orchestrator.js'), join(bin, 'ponix-orchestrator'))
    for (const [path, text] of Object.entries(FILES)) {
      writeFileSync(
        join(folder, path),
        path.startsWith('node_modules') ? `#!/usr/bin/env node\n${this.here(text)}` : this.here(text),
      )
      chmodSync(join(folder, path), 0o755)
    }
    this.#commandLine.writeConfig(this.here(example))
    const path = [bin, process.env['PATH']].join(delimiter)
    this.#commandLine.environment = { PATH: path, HOME: folder, XDG_CONFIG_HOME: folder }
  }

  get folder(): string {
    return this.#commandLine.folder
  }

  /** Returns the text with the ports of this application. */
  here(text: string): string {
    return withValues(text, this.#values)
  }

  writeFile(name: string, text: string): void {
    this.#commandLine.writeConfig(text, name)
  }

  read(name: string): string {
    return this.#commandLine.read(name)
  }

  /** Starts a command in a process group of its own, as a shell does. */
  start(command: string): Program {
    return this.#commandLine.startShell(`exec ${this.here(command)}`)
  }

  /** Runs a line of the shell to its end. */
  run(line: string): Promise<Outcome> {
    return this.#commandLine.startShell(this.here(line)).outcome
  }

  /** Starts a command in a terminal. */
  open(command: string): Terminal {
    return this.#commandLine.open('sh', ['-c', `exec ${command}`])
  }

  /** Starts the processes, after the end of those that run; resolves when they are ready. */
  async up(command = 'ponix-orchestrator'): Promise<Program> {
    await this.stopped()
    const orchestrator = this.start(command)
    await orchestrator.seen(READY)
    return orchestrator
  }

  /** Calls `use` while the processes run. They run on for the next use, because starting them takes longer than most commands. */
  async whileUp(use: () => Promise<void>): Promise<void> {
    this.#running ??= await this.up()
    await use()
  }

  /** Presses Ctrl-C if the processes run; resolves when they have ended, and rejects if the exit code is not 0. */
  async stopped(): Promise<void> {
    const orchestrator = this.#running
    this.#running = null
    orchestrator?.signalGroup('SIGINT')
    const outcome = await orchestrator?.outcome
    if (outcome !== undefined && outcome.code !== 0) throw new Error(`ended with ${outcome.code}: ${outcome.stderr}`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#commandLine.dispose()
  }
}

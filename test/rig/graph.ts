import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { freePort } from './servers.ts'
import { survivors } from './survivors.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const PORTS = [
  'PONIX_POSTGRES_PORT',
  'PONIX_NATS_PORT',
  'PONIX_NATS_MONITORING_PORT',
  'PONIX_CLICKHOUSE_PORT',
  'PONIX_MQTT_PORT',
  'PONIX_GRPC_PORT',
  'PONIX_API_HTTP_PORT',
  'PONIX_CDC_HTTP_PORT',
  'PONIX_GATEWAY_ORCHESTRATOR_HTTP_PORT',
  'PONIX_ANALYTICS_HTTP_PORT',
  'PONIX_DASHBOARD_PORT',
] as const

export type GraphPort = (typeof PORTS)[number]

export interface GraphOptions {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What comes before the arguments; if not given, the orchestrator's program. */
  readonly command?: readonly [string, ...string[]]
  /** An earlier graph's: the same data and ports. */
  readonly again?: Graph
}

/** The default graph, run as a person runs it, on ports and in a data folder of its own. */
export class Graph {
  readonly ports: Readonly<Record<GraphPort, number>>
  readonly dataDir: string
  readonly #child: ChildProcess
  readonly #mark: string
  readonly #lines: string[] = []
  readonly #waiting = new Set<() => void>()
  readonly #ended: Promise<number | NodeJS.Signals>

  private constructor(
    child: ChildProcess,
    mark: string,
    place: { readonly ports: Readonly<Record<GraphPort, number>>; readonly dataDir: string },
  ) {
    this.#child = child
    this.#mark = mark
    this.ports = place.ports
    this.dataDir = place.dataDir
    this.#ended = once(child, 'close').then(([code, signal]) => code ?? signal)
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#take(line))
    }
    child.once('close', () => this.#take('(the orchestrator has ended)'))
  }

  static async start(options: GraphOptions = {}): Promise<Graph> {
    const ports = options.again?.ports ?? (await choosePorts())
    const dataDir = options.again?.dataDir ?? (await mkdtemp(join(tmpdir(), 'ponix-e2e-')))
    await chmod(dataDir, 0o755)
    const mark = randomUUID()
    const [program, ...before] = options.command ?? [process.execPath, join(ROOT, 'bin/ponix-orchestrator.js')]
    const child = spawn(program, [...before, ...(options.args ?? [])], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: {
        ...process.env,
        ...Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)])),
        PONIX_DATA_DIR: dataDir,
        XDG_RUNTIME_DIR: dataDir,
        PONIX_TEST_MARK: mark,
        ...options.env,
      },
    })
    return new Graph(child, mark, { ports, dataDir })
  }

  get output(): string {
    return this.#lines.join('\n')
  }

  /** The first line from number `from` on that matches; rejects with the output when the orchestrator ends before it. */
  async line(pattern: RegExp, from = 0): Promise<{ readonly text: string; readonly next: number }> {
    for (let index = from; ; index += 1) {
      while (index >= this.#lines.length) {
        if (this.#child.exitCode !== null || this.#child.signalCode !== null) await this.#ended
        if (index >= this.#lines.length && this.#hasEnded())
          throw new Error(`no line ${pattern}; output:\n${this.output}`)
        if (index >= this.#lines.length) await new Promise<void>((resolve) => this.#waiting.add(resolve))
      }
      const text = this.#lines[index] ?? ''
      if (pattern.test(text)) return { text, next: index + 1 }
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** The exit code, or the signal that ended it. */
  async ended(): Promise<number | NodeJS.Signals> {
    return this.#ended
  }

  /** Processes that live and were started by this graph, at whatever remove: `pid command`. */
  async survivors(): Promise<readonly string[]> {
    return survivors(this.#mark)
  }

  /** Ends whatever still runs, and removes the data. */
  async destroy(): Promise<void> {
    if (!this.#hasEnded()) this.#child.kill('SIGTERM')
    await this.#ended
    await rm(this.dataDir, { recursive: true, force: true })
  }

  #hasEnded(): boolean {
    return this.#lines.at(-1) === '(the orchestrator has ended)'
  }

  #take(line: string): void {
    this.#lines.push(line)
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }
}

async function choosePorts(): Promise<Readonly<Record<GraphPort, number>>> {
  const chosen = new Set<number>()
  while (chosen.size < PORTS.length) chosen.add(await freePort())
  const ports = [...chosen]
  return Object.fromEntries(PORTS.map((name, index) => [name, ports[index]])) as Record<GraphPort, number>
}

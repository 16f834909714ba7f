import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Program, projectRoot } from '../program.ts'
import { freePort } from '../servers.ts'
import { survivors } from './steerable-child.ts'

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
  /** The command before the arguments; by default the orchestrator. */
  readonly command?: readonly [string, ...string[]]
  /** Uses the data and ports of an earlier graph. */
  readonly again?: Graph
}

/** The default graph as a user runs it, with its own ports and data folder. */
export class Graph implements AsyncDisposable {
  readonly ports: Readonly<Record<GraphPort, number>>
  readonly dataDir: string
  readonly #program: Program
  readonly #mark: string

  private constructor(
    program: Program,
    mark: string,
    place: { readonly ports: Readonly<Record<GraphPort, number>>; readonly dataDir: string },
  ) {
    this.#program = program
    this.#mark = mark
    this.ports = place.ports
    this.dataDir = place.dataDir
  }

  static async start(options: GraphOptions = {}): Promise<Graph> {
    const ports = options.again?.ports ?? (await choosePorts())
    const dataDir = options.again?.dataDir ?? (await mkdtemp(join(tmpdir(), 'ponix-e2e-')))
    await chmod(dataDir, 0o755)
    const mark = randomUUID()
    const [command, ...before] = options.command ?? [process.execPath, join(projectRoot, 'bin/ponix-orchestrator.js')]
    const program = new Program(command, [...before, ...(options.args ?? [])], {
      cwd: projectRoot,
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
    return new Graph(program, mark, { ports, dataDir })
  }

  get output(): string {
    return this.#program.outputLines.join('\n')
  }

  /** Returns the first line from number `from` on that matches; rejects with the output if the orchestrator ends before that. */
  line(pattern: RegExp, from = 0): Promise<{ readonly text: string; readonly next: number }> {
    return this.#program.outputLine(pattern, from)
  }

  signal(signal: NodeJS.Signals): void {
    this.#program.signal(signal)
  }

  /** Returns the exit code, or the signal that ended the orchestrator. */
  async ended(): Promise<number | string> {
    return (await this.#program.outcome).code
  }

  /** Returns the running descendants of this graph: `pid command`. */
  async survivors(): Promise<readonly string[]> {
    return survivors(this.#mark)
  }

  /** Stops the graph if it still runs, and removes its data. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.stop()
    await rm(this.dataDir, { recursive: true, force: true })
  }
}

async function choosePorts(): Promise<Readonly<Record<GraphPort, number>>> {
  const ports = await Promise.all(PORTS.map(async (name) => [name, await freePort()] as const))
  return Object.fromEntries(ports) as Record<GraphPort, number>
}

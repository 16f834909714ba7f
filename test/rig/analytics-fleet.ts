import { copyFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CrashTap } from './crash-tap.ts'
import { bundleEvaluationWorker } from './evaluation-worker.ts'
import { type BundledService, bundleService, ServiceProcess } from './service-process.ts'

const crashPoint = new URL('./crash-point.mjs', import.meta.url).href

/** One process of analytics and what stands between it and its servers. */
export interface FleetMember {
  readonly process: ServiceProcess
  readonly tap: CrashTap
  /** Resolves when it is gone, however that came. */
  readonly gone: Promise<void>
  readonly alive: boolean
  kill(): Promise<void>
}

/** Processes of analytics side by side, each to be killed on its own. */
export class AnalyticsFleet implements AsyncDisposable {
  readonly #program: BundledService
  readonly #variables: Readonly<Record<string, string>>
  #members: FleetMember[] = []

  private constructor(program: BundledService, variables: Readonly<Record<string, string>>) {
    this.#program = program
    this.#variables = variables
  }

  static async open(variables: Readonly<Record<string, string>>): Promise<AnalyticsFleet> {
    const program = await bundleService('analytics')
    await using worker = await bundleEvaluationWorker()
    const folder = dirname(program.path)
    await writeFile(join(folder, 'package.json'), '{"type":"module"}')
    await copyFile(fileURLToPath(worker.url), join(folder, 'analytics-worker.js'))
    return new AnalyticsFleet(program, variables)
  }

  /** Those that live. */
  get members(): readonly FleetMember[] {
    this.#members = this.#members.filter(({ alive }) => alive)
    return this.#members
  }

  /** One more; it dies by itself before its `crashStep`-th asynchronous step, if that is given. */
  async add(crashStep?: number): Promise<FleetMember> {
    const { PONIX_NATS_URL: nats = '', PONIX_CLICKHOUSE_URL: clickhouse = '' } = this.#variables
    const tap = await CrashTap.start(nats, clickhouse)
    const crash = crashStep === undefined ? {} : { NODE_OPTIONS: `--import=${crashPoint}`, CRASH_AT: String(crashStep) }
    const process = new ServiceProcess(this.#program.path, { ...this.#variables, ...tap.variables, ...crash })
    let alive = true
    const gone = process.exited().then(async () => {
      alive = false
      await tap[Symbol.asyncDispose]()
    })
    const member: FleetMember = {
      process,
      tap,
      gone,
      get alive() {
        return alive
      },
      async kill() {
        await process.kill()
        await gone
      },
    }
    this.#members.push(member)
    return member
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()))
    await this.#program[Symbol.asyncDispose]()
  }
}

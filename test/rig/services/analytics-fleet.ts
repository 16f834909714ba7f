import { CrashTap } from './crash-tap.ts'
import { ServiceProcess } from '../program.ts'

const crashPoint = new URL('./crash-point.mjs', import.meta.url).href

/** A process of analytics and the proxies between it and its servers. */
export interface FleetMember {
  readonly process: ServiceProcess
  readonly tap: CrashTap
  /** Resolves when the process has ended. */
  readonly gone: Promise<void>
  readonly alive: boolean
  kill(): Promise<void>
}

/** Runs concurrent processes of analytics, which can be killed individually. */
export class AnalyticsFleet implements AsyncDisposable {
  readonly #variables: Readonly<Record<string, string>>
  #members: FleetMember[] = []
  readonly #processes: ServiceProcess[] = []

  constructor(variables: Readonly<Record<string, string>>) {
    this.#variables = variables
  }

  /** Returns the running members. */
  get members(): readonly FleetMember[] {
    this.#members = this.#members.filter(({ alive }) => alive)
    return this.#members
  }

  /** Returns the messages that all processes, also those that ended, have logged. */
  get messages(): readonly string[] {
    return this.#processes.flatMap(({ lines }) => lines.map(({ msg }) => msg))
  }

  /** Adds a process; with `crashStep` it crashes before that asynchronous step. */
  async add(crashStep?: number): Promise<FleetMember> {
    const { PONIX_NATS_URL: nats = '', PONIX_CLICKHOUSE_URL: clickhouse = '' } = this.#variables
    const tap = await CrashTap.start(nats, clickhouse)
    const crash = crashStep === undefined ? {} : { NODE_OPTIONS: `--import=${crashPoint}`, CRASH_AT: String(crashStep) }
    const process = new ServiceProcess('analytics', { ...this.#variables, ...tap.variables, ...crash })
    this.#processes.push(process)
    let alive = true
    const gone = process.outcome.then(async () => {
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
  }
}

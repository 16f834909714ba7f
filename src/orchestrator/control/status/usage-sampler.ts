import { groupUsage, systemSource } from '../../supervisor/system/process-table.ts'
import type { ProcessSource } from '../../supervisor/system/process-source.ts'

/** The resource usage of a process group. */
export interface Usage {
  /** Percentage of one core. */
  readonly cpuPercent: number | null
  readonly memoryBytes: number
}

interface Sample {
  readonly percent: number | null
  readonly at: number
  readonly cpuMs: number
  readonly group: number
}

/** The minimum span: the kernel counts CPU time in hundredths of a second, so a shorter span gives no useful percentage. */
const SHORTEST_MS = 200

/** Measures CPU and memory of process groups. A CPU percentage covers the time since the previous sample. */
export class UsageSampler {
  readonly #samples = new Map<string, Sample>()
  readonly #source: ProcessSource

  constructor(source = systemSource) {
    this.#source = source
  }

  /** Returns the usage by process. `startedAt` is on the clock of `performance.now()`. */
  sample(
    processes: readonly { readonly name: string; readonly group: number; readonly startedAt: number }[],
  ): ReadonlyMap<string, Usage> {
    const now = performance.now()
    const usage = groupUsage(new Set(processes.map(({ group }) => group)), this.#source)
    const sampled = new Map<string, Usage>()
    for (const { name, group, startedAt } of processes) {
      const used = usage.get(group)
      if (used === undefined) continue
      const last = this.#samples.get(name)
      const since = last?.group === group ? last : { at: startedAt, cpuMs: 0, percent: null }
      const span = now - since.at
      // The total falls when a member of the group ends, because its CPU time is no longer counted.
      const percent = span < SHORTEST_MS ? since.percent : Math.max(0, ((used.cpuMs - since.cpuMs) / span) * 100)
      if (span >= SHORTEST_MS) this.#samples.set(name, { at: now, cpuMs: used.cpuMs, group, percent })
      sampled.set(name, { memoryBytes: used.memoryBytes, cpuPercent: percent })
    }
    return sampled
  }
}

import { groupUsage } from '../supervisor/process-table.ts'

/** What a process and all of its group use. */
export interface Figures {
  /** Of one core. */
  readonly cpuPercent: number | null
  readonly cpuMs: number
  readonly memoryBytes: number
}

interface Sample {
  readonly percent: number | null
  readonly at: number
  readonly cpuMs: number
  readonly group: number
}

/** A shorter look back says nothing: the kernel counts in hundredths of a second. */
const SHORTEST_MS = 200

/** Looks at what groups use, and remembers the last look: a percentage is between two. */
export class FigureReader {
  readonly #samples = new Map<string, Sample>()

  /** `startedAt` is on the clock of `performance.now()`, as `now` is. Null where there is no /proc. */
  read(
    processes: readonly { readonly name: string; readonly group: number; readonly startedAt: number }[],
    now = performance.now(),
  ): ReadonlyMap<string, Figures> {
    const usage = groupUsage(new Set(processes.map(({ group }) => group)))
    const figures = processes.flatMap(({ name, group, startedAt }) => {
      const used = usage.get(group)
      if (used === undefined) return []
      const last = this.#samples.get(name)
      const since = last?.group === group ? last : { at: startedAt, cpuMs: 0, group, percent: null }
      const span = now - since.at
      if (span < SHORTEST_MS) return [[name, { ...used, cpuPercent: since.percent }] as const]
      // A member of the group that has ended takes its time with it.
      const percent = Math.max(0, ((used.cpuMs - since.cpuMs) / span) * 100)
      this.#samples.set(name, { at: now, cpuMs: used.cpuMs, group, percent })
      return [[name, { ...used, cpuPercent: percent }] as const]
    })
    return new Map(figures)
  }
}

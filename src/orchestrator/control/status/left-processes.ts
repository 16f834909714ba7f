import { describeOrphans, type Orphans } from '../../supervisor/child/orphans.ts'
import type { ManagedProcess } from '../../supervisor/managed-process.ts'
import {
  stillLiving,
  systemSource,
  type TaggedProcess,
  taggedProcesses,
} from '../../supervisor/system/process-table.ts'
import type { ProcessSource } from '../../supervisor/system/process-source.ts'

type LeavingProcess = Pick<ManagedProcess, 'name' | 'state' | 'needsReaping'> & {
  readonly definition: Pick<ManagedProcess['definition'], 'secretNames'>
  readonly groups: Pick<ManagedProcess['groups'], 'orphans'>
}

/** Finds the processes that completed ones have left running, in their process groups or by their run tags. */
export class LeftProcesses {
  readonly #runTag: string
  readonly #source: ProcessSource
  #tagged: readonly TaggedProcess[] = []
  #nextScanAt = 0

  constructor(runTag: string, source = systemSource) {
    this.#runTag = runTag
    this.#source = source
  }

  /**
   * Returns what each process has left running, by its name; nothing for a process that is not completed. Scanning takes at most a
   * tenth of the time, so a process that begins between two scans can be missing, except with `isFresh`.
   */
  of(processes: readonly LeavingProcess[], { isFresh = false } = {}): ReadonlyMap<string, Orphans> {
    const leaving = processes.filter(({ state, needsReaping }) => state.type === 'completed' && needsReaping)
    if (leaving.length === 0) return new Map()
    const tagged = this.#scan(isFresh)
    return new Map(
      leaving.flatMap(({ name, definition, groups }) => {
        const escaped = tagged.filter(({ runTag }) => runTag.startsWith(`${this.#runTag}/${name}/`))
        const pids = new Set([...groups.orphans(), ...escaped.map(({ pid }) => pid)])
        if (pids.size === 0) return []
        return [[name, describeOrphans([...pids], definition.secretNames, this.#source)] as const]
      }),
    )
  }

  #scan(isFresh: boolean): readonly TaggedProcess[] {
    const startedAt = performance.now()
    if (!isFresh && startedAt < this.#nextScanAt) return stillLiving(this.#tagged, this.#source)
    this.#tagged = taggedProcesses(`${this.#runTag}/`, this.#source)
    const now = performance.now()
    this.#nextScanAt = now + 9 * (now - startedAt)
    return this.#tagged
  }
}

import { isDeepStrictEqual } from 'node:util'
import type { LogFileSettings } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../events.ts'
import { LogFile, type LogFileProblems } from './log-file.ts'

/** The log files of all processes. */
export class LogFiles {
  readonly #files = new Map<string, LogFile>()
  readonly #emit: (event: SupervisorEvent) => void

  constructor(emit: (event: SupervisorEvent) => void) {
    this.#emit = emit
  }

  /** True if everything is written, or nothing can be written. */
  get areIdle(): boolean {
    return [...this.#files.values()].every((file) => file.isIdle)
  }

  /** Total bytes written to the open files; a change of it is progress. */
  get written(): number {
    return [...this.#files.values()].reduce((sum, file) => sum + file.written, 0)
  }

  /** Returns the problems of the log file of a process; null if none has been opened. */
  problemsOf(name: string): LogFileProblems | null {
    return this.#files.get(name)?.problems ?? null
  }

  /** Returns the log file of a process; its children share one file as long as the settings do not change. */
  of(name: string, settings: LogFileSettings): LogFile {
    const known = this.#files.get(name)
    if (known !== undefined && isDeepStrictEqual(known.settings, settings)) return known
    known?.end()
    const file = new LogFile(name, settings, this.#emit)
    this.#files.set(name, file)
    return file
  }

  /** Closes the files of all other processes. */
  retain(names: readonly string[]): void {
    for (const [name, file] of this.#files) {
      if (names.includes(name)) continue
      this.#files.delete(name)
      file.end()
    }
  }

  close(): void {
    for (const file of this.#files.values()) file.close()
  }
}

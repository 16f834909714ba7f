import type { LogFileSettings } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../events.ts'
import { LogFile } from './log-file.ts'

/** The log files of all processes that have one. */
export class LogFiles {
  readonly #files = new Map<string, LogFile>()
  readonly #emit: (event: SupervisorEvent) => void

  constructor(emit: (event: SupervisorEvent) => void) {
    this.#emit = emit
  }

  /** Nothing waits to be written, or nothing can be. */
  get areIdle(): boolean {
    return [...this.#files.values()].every((file) => file.isIdle)
  }

  /** Bytes written, ever, to those that are open. */
  get written(): number {
    return [...this.#files.values()].reduce((sum, file) => sum + file.written, 0)
  }

  /** The same one for all children of a process, as long as its settings stay the same. */
  of(process: string, settings: LogFileSettings): LogFile {
    const known = this.#files.get(process)
    if (known !== undefined && isSame(known.settings, settings)) return known
    known?.end()
    const { path } = settings
    const file = new LogFile(settings, {
      onFailed: (reason) => this.#emit({ type: 'log_file_failed', process, path, reason }),
      onResumed: (lostLines) => this.#emit({ type: 'log_file_resumed', process, path, lostLines }),
    })
    this.#files.set(process, file)
    return file
  }

  /** Lets go of those of other processes. */
  keep(processes: readonly string[]): void {
    for (const [process, file] of this.#files) {
      if (processes.includes(process)) continue
      this.#files.delete(process)
      file.end()
    }
  }

  close(): void {
    for (const file of this.#files.values()) file.close()
  }
}

function isSame(a: LogFileSettings, b: LogFileSettings): boolean {
  return a.path === b.path && a.maxSize === b.maxSize && a.maxFiles === b.maxFiles
}

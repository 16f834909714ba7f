import { openSync } from 'node:fs'
import { dirname } from 'node:path'
import { Writable } from 'node:stream'
import { systemReason, UserError } from '../../config/errors.ts'
import type { LogFileSettings } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../events.ts'
import { createFolder } from '../system/create-folder.ts'
import { waitAtMost } from '../timers.ts'
import { LogFile } from './log-file.ts'

/** Opens a log file to append and read, and creates its folder. Throws a UserError, which ends with `advice`, if it cannot be written. */
export function openLogFile(path: string, advice = 'name another log file with --log-file'): number {
  createFolder(dirname(path), { advice })
  try {
    return openSync(path, 'a+', 0o600)
  } catch (error) {
    throw new UserError(`the log file ${path} cannot be written: ${systemReason(error)}; ${advice}`)
  }
}

/** A stream that writes whole lines to a rotated log file. It applies back-pressure, and a full disk does not stop its writers. */
export class LogStream extends Writable {
  readonly #file: LogFile

  constructor(settings: LogFileSettings, emit: (event: SupervisorEvent) => void) {
    super()
    this.#file = new LogFile('orchestrator', settings, emit)
  }

  /** Takes one or more lines, each with its newline. */
  override _write(lines: Buffer, _encoding: string, callback: () => void): void {
    this.#file.append(lines.toString('latin1', 0, lines.length - 1))
    if (this.#file.isFull) this.#file.onceDrained(callback)
    else callback()
  }

  override _final(callback: () => void): void {
    this.#file.end()
    const check = () => {
      if (this.#file.isIdle) callback()
      else this.#file.onceDrained(check)
    }
    check()
  }

  /** Resolves when everything is written, or after `ms` milliseconds. */
  async finish(ms: number): Promise<void> {
    await waitAtMost(ms, new Promise<void>((resolve) => this.end(resolve)))
  }
}

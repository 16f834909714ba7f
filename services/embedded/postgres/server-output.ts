import type { Logger } from '../../../src/runner/logger.ts'

/** The levels that begin an entry of the log; `DETAIL`, `HINT`, `STATEMENT` and lines that begin with a tab belong to it. */
const LEVELS = ['LOG', 'NOTICE', 'WARNING', 'ERROR', 'FATAL', 'PANIC']

/** What PostgreSQL says, in its log's format with an empty prefix: `LEVEL:  text`. Routine goes to the debug level. */
export class ServerOutput {
  readonly #logger: Logger
  readonly #stopping: AbortSignal
  #level = 'LOG'
  #ready = false
  #failure = 'it gave no reason'

  constructor(logger: Logger, stopping: AbortSignal) {
    this.#logger = logger
    this.#stopping = stopping
  }

  /** Why it could not start, or what broke it, as one line. */
  get failure(): string {
    return this.#failure
  }

  read(line: string): 'ready' | undefined {
    if (line === '') return undefined
    const level = /^([A-Z]+):/.exec(line)?.[1]
    if (level !== undefined && LEVELS.includes(level)) this.#level = level
    // Once it serves, FATAL is the end of one client's session.
    if (level === 'PANIC' || (level === 'FATAL' && !this.#ready)) this.#failure = line
    const routine = this.#level === 'LOG' || this.#stopping.aborted
    this.#logger[routine ? 'debug' : 'warn'](line)
    if (!/^LOG: +database system is ready to accept connections/.test(line)) return undefined
    this.#ready = true
    return 'ready'
  }
}

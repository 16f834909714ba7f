import type { Engine, EngineConnection } from './engine.ts'
import { ClickHouseException } from './exception.ts'
import type { SessionRequest } from './query-request.ts'

interface Session {
  readonly connection: EngineConnection
  running: Promise<void> | undefined
  /** True if the answer is about to end: the client can send its next request before this request has released the session. */
  isFinishing: boolean
  expiry: NodeJS.Timeout | undefined
}

const MAX_SESSIONS = 1000

/** Sessions by id. Each is a connection that keeps temporary tables and SETs between requests. */
export class Sessions {
  readonly #engine: Engine
  readonly #sessions = new Map<string, Session>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /**
   * Runs the work on the session's connection and then restarts the session's timeout. The work calls `finishing` before its client
   * can detect that the session is free.
   */
  async use(
    request: SessionRequest,
    work: (connection: EngineConnection, finishing: () => void) => Promise<void>,
  ): Promise<void> {
    while (this.#sessions.get(request.id)?.isFinishing === true) {
      await this.#sessions.get(request.id)?.running?.catch(() => {})
    }
    const session = this.#acquire(request)
    try {
      session.running = work(session.connection, () => {
        session.isFinishing = true
      })
      await session.running
    } finally {
      session.running = undefined
      session.isFinishing = false
      session.expiry = setTimeout(() => this.#end(request.id), request.timeoutMs).unref()
    }
  }

  /** Ends all sessions; no session must be in use. */
  close(): void {
    for (const id of this.#sessions.keys()) this.#end(id)
  }

  #acquire({ id, mustExist }: SessionRequest): Session {
    let session = this.#sessions.get(id)
    if (session?.running !== undefined) {
      throw new ClickHouseException(373, 'SESSION_IS_LOCKED', `Session ${id} is locked by a concurrent client`)
    }
    if (session === undefined) {
      if (mustExist) throw new ClickHouseException(372, 'SESSION_NOT_FOUND', `Session ${id} not found`)
      if (this.#sessions.size >= MAX_SESSIONS) {
        const message = `There are already ${MAX_SESSIONS} sessions; close one, or wait for a timeout`
        throw new ClickHouseException(202, 'TOO_MANY_SIMULTANEOUS_QUERIES', message)
      }
      session = { connection: this.#engine.connect(), running: undefined, isFinishing: false, expiry: undefined }
      this.#sessions.set(id, session)
    }
    clearTimeout(session.expiry)
    return session
  }

  #end(id: string): void {
    const session = this.#sessions.get(id)
    this.#sessions.delete(id)
    clearTimeout(session?.expiry)
    session?.connection.close()
  }
}

import type { Engine, EngineConnection } from './engine.ts'
import { ClickHouseException } from './exception.ts'
import type { SessionRequest } from './query-request.ts'

interface Session {
  readonly connection: EngineConnection
  busy: boolean
  /** Set when the answer is about to end: the client may send its next request before this one has released the session. */
  finished: Promise<void> | undefined
  expiry: NodeJS.Timeout | undefined
}

/** Work on a session. It calls `finishing` before its client can see that the session is free. */
export type SessionWork<T> = (connection: EngineConnection, finishing: () => void) => Promise<T>

const MAX_SESSIONS = 1000

/** Sessions by id. Each is a connection that keeps temporary tables and SETs between requests. */
export class Sessions {
  readonly #engine: Engine
  readonly #sessions = new Map<string, Session>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Runs the work on the session's connection and then restarts the session's timeout. */
  async use<T>(request: SessionRequest, work: SessionWork<T>): Promise<T> {
    const session = await this.#acquire(request)
    let finish = (): void => {}
    const finishing = (): void => {
      session.finished = new Promise((resolve) => {
        finish = resolve
      })
    }
    try {
      return await work(session.connection, finishing)
    } finally {
      session.busy = false
      session.finished = undefined
      finish()
      session.expiry = setTimeout(() => this.#end(request.id), request.timeoutMs).unref()
    }
  }

  /** Ends all sessions; none may be in use. */
  close(): void {
    for (const id of this.#sessions.keys()) this.#end(id)
  }

  async #acquire(request: SessionRequest): Promise<Session> {
    while (this.#sessions.get(request.id)?.finished !== undefined) await this.#sessions.get(request.id)?.finished
    let session = this.#sessions.get(request.id)
    if (session === undefined) {
      if (request.mustExist) {
        throw new ClickHouseException(372, 'SESSION_NOT_FOUND', `Session ${request.id} not found`)
      }
      if (this.#sessions.size >= MAX_SESSIONS) {
        throw new ClickHouseException(
          202,
          'TOO_MANY_SIMULTANEOUS_QUERIES',
          `There are ${MAX_SESSIONS} sessions already`,
        )
      }
      session = { connection: this.#engine.connect(), busy: false, finished: undefined, expiry: undefined }
      this.#sessions.set(request.id, session)
    }
    if (session.busy) {
      throw new ClickHouseException(373, 'SESSION_IS_LOCKED', `Session ${request.id} is locked by a concurrent client`)
    }
    session.busy = true
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

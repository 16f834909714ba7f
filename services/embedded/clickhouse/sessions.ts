import type { Engine, EngineConnection } from './engine.ts'
import { ClickHouseException } from './exception.ts'
import type { SessionRequest } from './query-request.ts'

interface Session {
  readonly connection: EngineConnection
  busy: boolean
  expiry: NodeJS.Timeout | undefined
}

/** Sessions by id: each a connection that keeps its temporary tables and SETs between requests. */
export class Sessions {
  readonly #engine: Engine
  readonly #sessions = new Map<string, Session>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Runs the work on the session's connection; the session's time begins anew when it has ended. */
  async use<T>(request: SessionRequest, work: (connection: EngineConnection) => Promise<T>): Promise<T> {
    const session = this.#take(request)
    try {
      return await work(session.connection)
    } finally {
      session.busy = false
      session.expiry = setTimeout(() => this.#end(request.id), request.timeoutMs).unref()
    }
  }

  /** Ends all; none may be in use. */
  close(): void {
    for (const id of this.#sessions.keys()) this.#end(id)
  }

  #take(request: SessionRequest): Session {
    let session = this.#sessions.get(request.id)
    if (session === undefined) {
      if (request.mustExist) {
        throw new ClickHouseException(372, 'SESSION_NOT_FOUND', `Session ${request.id} not found`)
      }
      session = { connection: this.#engine.connect(), busy: false, expiry: undefined }
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

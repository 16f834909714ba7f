import { status as Status, type ServerUnaryCall } from '@grpc/grpc-js'
import type { CallOptions } from '../../src/domain/ports.ts'

/** What a handler knows of its call besides the request; fit to be passed on as the domain's CallOptions. */
export interface CallContext extends CallOptions {
  /** Aborts when the caller cancels, when its deadline passes, and when a shutdown runs out of time. */
  readonly signal: AbortSignal
  /** Set by the handler, for the request log. */
  organizationId: string
}

/** One call in progress. The signal is made only for the handlers that ask for it. */
export class UnaryCall implements CallContext {
  organizationId = ''
  readonly #call: Pick<ServerUnaryCall<unknown, unknown>, 'once' | 'cancelled' | 'getDeadline'>
  #controller: AbortController | undefined
  #done = false
  #abandoned: Status | null = null

  constructor(call: ServerUnaryCall<unknown, unknown>) {
    this.#call = call
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController()
      this.#controller = controller
      // grpc-js says `cancelled` at the end of every call.
      this.#call.once('cancelled', () => {
        if (!this.#done) controller.abort()
      })
      if (this.#call.cancelled) controller.abort()
    }
    return this.#controller.signal
  }

  /** How the call ended before it was finished, or null. */
  get abandoned(): Status | null {
    return this.#abandoned
  }

  /** To be called before the answer is sent: after that, grpc-js calls every call cancelled. */
  finish(): void {
    this.#done = true
    if (!this.#call.cancelled) return
    const late = Number(this.#call.getDeadline()) <= Date.now()
    this.#abandoned = late ? Status.DEADLINE_EXCEEDED : Status.CANCELLED
  }
}

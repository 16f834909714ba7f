import type { ServerUnaryCall } from '@grpc/grpc-js'
import type { BudgetLimits } from '../../src/domain/byte-budget.ts'
import { DomainError } from '../../src/domain/errors.ts'
import { SharedBudget } from '../../src/domain/shared-budget.ts'

const LIMITS: BudgetLimits = { items: 10_000, bytes: 128 * 1024 * 1024 }
/**
 * Only lists and telemetry are larger: the answer to a change is never refused after it. The number of concurrent calls of a
 * connection bounds smaller answers.
 */
const MIN_COUNTED_BYTES = 128 * 1024

type Call = Pick<ServerUnaryCall<unknown, unknown>, 'cancelled' | 'getPeer' | 'once'>

/**
 * Bounds the answers that clients do not read: grpc-js keeps each in memory until its client has read it. Connections share the
 * limits (see SharedBudget), so a client that reads nothing leaves room for others.
 */
export class UnreadAnswers {
  /** By the address of the client, which identifies a connection. */
  readonly #budget = new SharedBudget<string>(LIMITS)

  /** Counts an answer until its call has ended. Throws a DomainError if the connection has no room for it. */
  add(call: Call, bytes: number): void {
    if (bytes < MIN_COUNTED_BYTES || call.cancelled) return
    const connection = call.getPeer()
    if (!this.#budget.fits(connection, bytes))
      throw new DomainError('unavailable', 'Too many answers on this connection are unread; read them, then try again')
    this.#budget.add(connection, bytes)
    // grpc-js emits `cancelled` at the end of every call.
    call.once('cancelled', () => this.#budget.remove(connection, bytes))
  }
}

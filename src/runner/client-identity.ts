import type { Logger } from './logger.ts'

/** Who opens a client, for those who look at the server, and how long it may go on trying. */
export interface ClientIdentity {
  /** Seen in the server's monitoring: `ponix-analytics`. */
  readonly name: string
  readonly logger: Logger
  /** Ends the waiting for a server that does not answer. */
  readonly signal?: AbortSignal
}

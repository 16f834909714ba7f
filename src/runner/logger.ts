import type { Logger } from 'pino'

export type { Logger }

/** The pino logger of a service: JSON when stdout is not a terminal, readable when it is; level from PONIX_LOG_LEVEL. */
export function createLogger(_service: string): Logger {
  throw new Error('to be built')
}

import { pino, type DestinationStream, type Logger } from 'pino'
import pretty from 'pino-pretty'
import { MASK, maskUrlSecrets } from '../domain/secrets.ts'

export type { Logger }

const SECRET_FIELDS = ['password', 'token', 'secret', 'key', 'apiKey', 'authorization']
const REDACTED = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`])

/** The pino logger of a service: JSON when stdout is not a terminal, readable when it is; level from PONIX_LOG_LEVEL. */
export function createLogger(service: string): Logger {
  const destination = process.stdout.isTTY
    ? pretty({ colorize: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l', sync: true })
    : pino.destination({ dest: 1, sync: true })
  return createLoggerTo(destination, service, process.env['PONIX_LOG_LEVEL'])
}

/** A logger as {@link createLogger} makes it, to a destination of one's own. An unknown level counts as `info`. */
export function createLoggerTo(destination: DestinationStream, service: string, level: string | undefined): Logger {
  const known = level !== undefined && (level === 'silent' || level in pino.levels.values)
  return pino(
    {
      name: service,
      level: known ? level : 'info',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED, censor: MASK },
      hooks: { streamWrite: maskUrlSecrets },
    },
    destination,
  )
}

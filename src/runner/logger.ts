import { pino, type DestinationStream, type Logger } from 'pino'
import pretty from 'pino-pretty'
import { MASK, maskUrlSecrets } from '../domain/secrets.ts'

export type { Logger }

const SECRET_FIELDS = ['password', 'token', 'secret', 'key', 'apiKey', 'authorization']
const REDACTED = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`])

/**
 * Returns the format and colours. PONIX_LOG_FORMAT selects `text` or `json`; the default is text on a terminal and JSON
 * elsewhere. Text has colours on a terminal and with FORCE_COLOR, and never with NO_COLOR.
 */
export function logStyle(env: Readonly<Record<string, string | undefined>>, isTerminal: boolean) {
  const { PONIX_LOG_FORMAT: format, FORCE_COLOR: force = '0', NO_COLOR: no = '' } = env
  const isText = format === 'text' || (format !== 'json' && isTerminal)
  const colors = isText && no === '' && (isTerminal || !['0', 'false'].includes(force))
  return { format: isText ? 'text' : 'json', colors } as const
}

/** Creates the pino logger of a service on stdout, with the level of PONIX_LOG_LEVEL. */
export function createLogger(service: string): Logger {
  const { format, colors } = logStyle(process.env, process.stdout.isTTY)
  const destination =
    format === 'text'
      ? pretty({ colorize: colors, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l', sync: true })
      : pino.destination({ dest: 1, sync: true })
  return createLoggerTo(destination, service, process.env['PONIX_LOG_LEVEL'])
}

/** Creates a logger for another destination. An unknown level means `info`. */
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

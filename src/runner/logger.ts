import { isatty } from 'node:tty'
import { pino, type DestinationStream, type Logger } from 'pino'
import pretty from 'pino-pretty'
import { MASK, maskUrlSecrets } from '../domain/secrets.ts'
import { BurstWriter } from './burst-writer.ts'

export type { Logger }

/** Not `process.stdout`, which makes a pipe non-blocking: then a line that the pipe has no space for stops the program for 100 ms. */
const STDOUT = 1
const STDERR = 2

const SECRET_FIELDS: ReadonlySet<string> = new Set(['password', 'token', 'secret', 'key', 'apiKey', 'authorization'])
/** Secret fields are masked in a line's object and in the objects that it contains, down to this level. */
const MASKED_LEVELS = 3
/** The fields of a child logger pass only through serializers. */
const CHILD_FIELDS = Object.fromEntries([...SECRET_FIELDS].map((name) => [name, () => MASK]))

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
  const { format, colors } = logStyle(process.env, isatty(STDOUT))
  const destination =
    format === 'text'
      ? pretty({ colorize: colors, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l', sync: true })
      : inBursts(pino.destination({ dest: STDOUT, sync: true }))
  return createLoggerTo(destination, service, process.env['PONIX_LOG_LEVEL'])
}

/** Returns a destination that writes the lines of one turn of the event loop together. */
function inBursts(destination: DestinationStream): DestinationStream {
  const writer = new BurstWriter((lines) => destination.write(lines))
  process.on('exit', () => writer.flush())
  return writer
}

/** Creates a logger of a command, whose output is on stdout: lines on stderr with the name of the program, as its errors have. */
export function createCommandLogger(program: string): Logger {
  const format = { ignore: 'pid,hostname,time,level,name', messageFormat: `${program}: {msg}`, singleLine: true }
  return createLoggerTo(pretty({ ...format, colorize: false, destination: STDERR, sync: true }), program, 'info')
}

/** Creates a logger for another destination. An unknown level means `info`. */
export function createLoggerTo(destination: DestinationStream, service: string, level: string | undefined): Logger {
  const known = level !== undefined && (level === 'silent' || level in pino.levels.values)
  return pino(
    {
      name: service,
      level: known ? level : 'info',
      timestamp: pino.stdTimeFunctions.isoTime,
      // Not pino's `redact`, which takes more than ten times as long as the rest of the line.
      formatters: { level: (label) => ({ level: label }), log: (fields) => maskFields(fields) },
      serializers: { err: (error: Error) => maskFields(pino.stdSerializers.err(error)), ...CHILD_FIELDS },
      hooks: { streamWrite: maskUrlSecrets },
    },
    destination,
  )
}

/** Returns the object, or if it contains a secret field a copy in which it is masked. */
function maskFields<T extends object>(fields: T, levels = MASKED_LEVELS): T {
  let masked: T | undefined
  for (const [name, value] of Object.entries(fields)) {
    const shown = maskField(name, value, levels)
    if (shown === value) continue
    masked ??= Array.isArray(fields) ? Object.assign([], fields) : { ...fields }
    Object.assign(masked, { [name]: shown })
  }
  return masked ?? fields
}

function maskField(name: string, value: unknown, levels: number): unknown {
  if (SECRET_FIELDS.has(name)) return MASK
  // The fields of an error are those that its serializer returns.
  if (typeof value !== 'object' || value === null || levels === 1 || value instanceof Error) return value
  return maskFields(value, levels - 1)
}

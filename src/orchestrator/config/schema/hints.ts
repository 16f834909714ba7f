import { parseDuration } from '../duration.ts'
import { nameHint, nearestName } from '../nearest-name.ts'

/*
 * Corrections for values and keys in the form of other tools: Compose, Kubernetes, pm2, process-compose, supervisord, systemd. A
 * hint never contains the value, which may be secret, only its translation.
 */

/** Returns the correction of an invalid value; null if there is none. */
export type Hint = (value: unknown) => string | null

/** An error of zod: the expected form, and on a second line the correction. */
export type Form = string | ((issue: { readonly input?: unknown }) => string)

export function withHint(form: string, hint: Hint): Exclude<Form, string> {
  return ({ input }) => {
    const correction = hint(input)
    return correction === null ? form : `${form}\n${correction}`
  }
}

/** Returns a hint for values of one type. */
export function hintFor(type: 'string' | 'number' | 'object', hint: string): Hint {
  return (value) => (typeof value === type && value !== null ? hint : null)
}

/** Words of other tools for the values of a choice. */
const foreignValues = new Map([
  ['unless-stopped', 'always'],
  ['any', 'always'],
  ['on-failure', 'on_failure'],
  ['exit_on_failure', 'on_failure'],
  ['no', 'never'],
  ['none', 'never'],
  ['service_started', 'started'],
  ['process_started', 'started'],
  ['service_healthy', 'ready'],
  ['process_healthy', 'ready'],
  ['process_log_ready', 'ready'],
  ['healthy', 'ready'],
  ['service_completed_successfully', 'completed_successfully'],
  ['process_completed_successfully', 'completed_successfully'],
  ['process_completed', 'completed'],
  ['oneshot', 'task'],
  ['job', 'task'],
  ['once', 'task'],
  ['simple', 'service'],
  ['daemon', 'service'],
  ['forking', 'service'],
])

const signalNumbers = new Map([
  ['1', 'SIGHUP'],
  ['2', 'SIGINT'],
  ['3', 'SIGQUIT'],
  ['9', 'SIGKILL'],
  ['10', 'SIGUSR1'],
  ['12', 'SIGUSR2'],
  ['15', 'SIGTERM'],
])

/** Returns the one of `choices` that a value of another tool means, or that is spelled similarly. */
function meantChoice(value: unknown, choices: readonly string[]): string | null {
  if (typeof value !== 'string' && typeof value !== 'number') return null
  // Compose: on-failure:5
  const word = String(value).toLowerCase().replace(/:\d+$/, '')
  const known = [foreignValues.get(word), `SIG${word.toUpperCase()}`, signalNumbers.get(word)]
  return known.find((name) => name !== undefined && choices.includes(name)) ?? nearestName(String(value), choices)
}

export function choiceHint(choices: readonly string[]): Hint {
  return (value) => {
    const meant = meantChoice(value, choices)
    return meant === null ? null : `did you mean ${JSON.stringify(meant)}?`
  }
}

export const numberHint: Hint = (value) =>
  typeof value === 'string' && /^\d{1,15}$/.test(value) ? `write ${Number(value)}, without quotes` : null

export const millisecondsHint: Hint = (value) => {
  const duration = typeof value === 'string' ? parseDuration(value) : null
  return duration === null ? numberHint(value) : `write ${duration}`
}

export const flagHint: Hint = (value) =>
  value === 'true' || value === 'false' ? `write ${value}, without quotes` : null

/** Returns a hint for a choice in place of the object that contains it, such as "always" for {"policy": "always"}. */
export function shorthandHint(key: string, choices: readonly string[]): Hint {
  return (value) => {
    const meant = typeof value === 'string' && choices.includes(value) ? value : meantChoice(value, choices)
    return meant === null ? null : `write {"${key}": "${meant}"}`
  }
}

export const restartPolicies = ['always', 'on_failure', 'never'] as const

export const restartHint: Hint = (value) => {
  if (typeof value === 'boolean') return `write {"policy": "${value ? 'always' : 'never'}"}`
  const limit = typeof value === 'string' ? /^on-failure:(\d{1,6})$/.exec(value)?.[1] : undefined
  return limit === undefined
    ? shorthandHint('policy', restartPolicies)(value)
    : `write {"policy": "on_failure", "max_attempts": ${limit}}`
}

export const probeHint: Hint = (value) => {
  if (typeof value === 'number') return `write {"tcp_socket": "127.0.0.1:${value}"}`
  if (typeof value !== 'string') return null
  if (/^https?:/.test(value)) return 'write {"http_get": "http://…"}'
  return /^[\w.-]*:\d+$/.test(value) ? 'write {"tcp_socket": "host:port"}' : 'write {"exec": "…"} for a command'
}

export const dependsOnHint: Hint = (value) =>
  typeof value === 'string' && /^[\w.:-]+$/.test(value) ? `write ["${value}"]` : null

export const variableHint: Hint = (value) => {
  if (value === null) return 'to inherit the variable, remove this line: all variables are inherited'
  return typeof value === 'number' || typeof value === 'boolean' ? 'put the value in double quotes' : null
}

export const addressHint: Hint = (value) => {
  const port = portOf(value)
  return port === null ? null : `write "127.0.0.1:${port}"`
}

export const urlHint: Hint = (value) => {
  const port = portOf(value)
  if (port !== null) return `write "http://127.0.0.1:${port}/…"`
  return typeof value === 'string' && /^[\w.-]+(?::\d+)?(?:\/|$)/.test(value) ? 'add http:// in front' : null
}

/** Returns a port that is given alone, or as in a probe of Kubernetes. */
function portOf(value: unknown): number | null {
  const given = typeof value === 'object' && value !== null && 'port' in value ? value.port : value
  return /^:?\d{1,5}$/.test(String(given)) ? Number(String(given).replace(':', '')) : null
}

/** Keys of other tools: the words, our key, and the form if it differs in more than the name. */
const foreignKeys: readonly (readonly [words: string, key: string, form?: string])[] = [
  ['services apps programs procs process', 'processes'],
  ['environment environments env_vars envs variables', 'env'],
  ['cmd script entrypoint run program execstart start', 'command'],
  ['cmd command test', 'exec'],
  ['interpreter', 'command', 'write "command": "node", "args": ["web.js"]'],
  ['arguments argv parameters', 'args'],
  ['working_dir working_directory workingdirectory workdir directory dir', 'cwd'],
  ['healthcheck health_check health readiness ready_log_line', 'readiness_probe'],
  ['liveness', 'liveness_probe'],
  ['tcpsocket tcp port', 'tcp_socket', 'write "tcp_socket": "127.0.0.1:8080"'],
  ['httpget http url', 'http_get', 'write "http_get": "http://127.0.0.1:8080/health"'],
  ['interval periodseconds period_seconds', 'period_ms'],
  ['timeout timeoutseconds timeout_seconds', 'timeout_ms'],
  ['retries failurethreshold', 'failure_threshold'],
  ['start_period initialdelayseconds initial_delay_seconds', 'initial_delay_ms'],
  ['after requires wants needs bindsto dependencies', 'depends_on'],
  ['type', 'kind'],
  ['max_restarts retries startlimitburst', 'max_attempts'],
  ['max_restarts startretries', 'restart', 'write "restart": {"max_attempts": 5}'],
  ['autorestart auto_restart restart_policy availability', 'restart', 'write "restart": {"policy": "always"}'],
  ['restart_delay restartsec', 'restart', 'write "restart": {"backoff_ms": 1000}'],
  ['min_uptime startsecs', 'restart', 'write "restart": {"reset_after_ms": 10000}'],
  ['stop_signal stopsignal kill_signal killsignal', 'shutdown', 'write "shutdown": {"signal": "SIGINT"}'],
  ['stop_grace_period kill_timeout stopwaitsecs timeoutstopsec', 'shutdown', 'write "shutdown": {"timeout_ms": 10000}'],
  ['instances numprocs scale deploy', 'replicas'],
  ['log_file logfile out_file error_file stdout_logfile log_location', 'log', 'write "log": {"file": "logs/web.log"}'],
  ['logging', 'log'],
  ['max_memory_restart mem_limit memorymax', 'memory_limit'],
  ['cron cron_restart oncalendar', 'schedule'],
  ['enabled autostart', 'disabled'],
  ['name', 'command', 'the name of a process is its key, as in {"processes": {"web": {"command": "…"}}}'],
  ['image build', 'command', 'containers are not started; write the program as "command"'],
  ['ports expose', 'command', 'a process opens its ports itself; remove this key'],
  ['version', 'processes', 'remove this key'],
]

/** Returns the correction of an unknown key in an object with the keys `known`. */
export function keyHint(key: string, known: readonly string[]): string {
  const word = key.toLowerCase().replaceAll('-', '_')
  const foreign = foreignKeys.find(([words, ours]) => known.includes(ours) && words.split(' ').includes(word))
  if (foreign === undefined) return nameHint(key, 'expected', known)
  return foreign[2] ?? `did you mean "${foreign[1]}"?`
}

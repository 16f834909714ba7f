import { codeOf, messageOf } from '../../config/errors.ts'
import { redactValues, type SecretContext } from '../../config/redact.ts'
import type { ProbeCheck } from '../../config/resolved.ts'
import { formatSocketAddress } from '../../config/socket-address.ts'

/**
 * Returns the kind and the target of a check, such as `tcp_socket 127.0.0.1:5432`. Passwords and values of secret variables in
 * `context` are masked, arguments omitted.
 */
export function describeCheck(check: ProbeCheck, context: SecretContext): string {
  switch (check.type) {
    case 'tcp_socket':
      return `tcp_socket ${formatSocketAddress(check)}`
    case 'http_get':
      return `http_get ${redactValues(check.url, context)}`
    case 'exec':
      return `exec ${programOf(check.command)}`
    case 'log_line':
      return `log_line ${redactValues(String(check.pattern), context)}`
    case 'notify':
      return 'notify'
  }
}

/** Returns the program of a command; of a shell line its first word, unless that is more than a name, such as `TOKEN=… curl`. */
function programOf([program, option, line]: readonly [string, ...string[]]): string {
  if (program !== '/bin/sh' || option !== '-c' || line === undefined) return program
  const [word = ''] = line.trim().split(/\s+/)
  return /^[\w./-]+$/.test(word) ? word : program
}

const ANSWERS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection closed without an answer',
  EPIPE: 'connection closed without an answer',
  ETIMEDOUT: 'no answer',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  EADDRNOTAVAIL: 'address not available',
  ENOTFOUND: 'unknown host name',
  EAI_AGAIN: 'the host name could not be resolved',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EMFILE: 'too many open files (see ulimit -n)',
  EPROTO: 'answered, but not with TLS',
}

/** Returns the reason of a failed connection or request in words. */
export function describeConnectionError(error: unknown): string {
  const code = codeOf(error) ?? ''
  if (code.startsWith('HPE_')) return 'answered, but not with HTTP'
  if (code.startsWith('ERR_SSL_')) return 'answered, but not with TLS'
  return ANSWERS[code] ?? messageOf(error)
}

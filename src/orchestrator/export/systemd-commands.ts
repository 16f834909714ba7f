import type { ExportedProbe, Word } from './exported-graph.ts'

/*
 * Command lines of unit files, and their quoting (systemd.syntax, systemd.service "Command lines", systemd.unit "Specifiers").
 * No shell is involved: a word in double quotes with C escapes, `%%` for a percent sign, `$$` for a dollar where variables are
 * expanded.
 */

/** A script that forwards the newline on descriptor 3 to systemd; the program stays the main process of the unit. */
const notifyBridge = `exec 3> >(read -r && exec systemd-notify --ready); NOTIFY_FD=3 exec "$0" "$@"`
const connectScript = 'exec 3<>"/dev/tcp/$0/$1"'
const getScript = [
  connectScript,
  String.raw`printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$3" >&3`,
  'read -r _ status _ <&3',
  '[[ $status == [23]?? ]]',
].join(' && ')

/** Returns a command that reports the newline of a `notify` probe to systemd. */
export function bridgeNotification(words: readonly Word[]): readonly Word[] {
  return bash(notifyBridge, words)
}

/**
 * Returns a command line that exits with 0 once the probe succeeds, with 1 if the process is gone; null for a `notify` probe. `before`
 * are words in front of it.
 */
export function readinessCommand(probe: ExportedProbe, before: readonly Word[] = []): string | null {
  const attempt = attemptOf(probe)
  if (attempt === null) return null
  const { initialDelayMs, periodMs } = probe
  const delay = initialDelayMs === 0 ? '' : `sleep ${initialDelayMs / 1000}; `
  const wait = `sleep ${periodMs.beforeReady / 1000}`
  const script = `${delay}while kill -0 "$MAINPID"; do ${attempt.script} && exit 0; ${wait}; done 2>/dev/null; exit 1`
  return commandLine([...before, ...bash(script, attempt.words)])
}

interface Attempt {
  readonly script: string
  /** `$0` and the following arguments. */
  readonly words: readonly Word[]
}

function attemptOf({ check, timeoutMs }: ExportedProbe): Attempt | null {
  const timeout = `timeout ${timeoutMs / 1000}`
  switch (check.type) {
    case 'tcp_socket': {
      const script = `${timeout} bash -c '${connectScript}' "$0" "$1"`
      return { script, words: textWords(check.host, String(check.port)) }
    }
    case 'http_get':
      return httpAttempt(check.url, timeoutMs / 1000)
    case 'exec':
      return { script: `${timeout} "$@" >/dev/null`, words: [...textWords('probe'), ...check.words] }
    case 'log_line': {
      const found = `journalctl -q -n 1 -o cat --case-sensitive=yes _SYSTEMD_INVOCATION_ID="$INVOCATION_ID" --grep "$0"`
      return { script: `${found} | grep -q ""`, words: textWords(check.pattern.source) }
    }
    case 'notify':
      return null
  }
}

function httpAttempt(url: Word, timeoutSeconds: number): Attempt {
  if (needsCurl(url) || 'secret' in url) {
    return { script: `curl -fsSk -o /dev/null --max-time ${timeoutSeconds} "$0"`, words: [url] }
  }
  const { hostname, port, host, pathname, search } = new URL(url.text)
  const address = hostname.replaceAll(/[[\]]/g, '')
  const words = textWords(address, port === '' ? '80' : port, `${pathname}${search}`, host)
  return { script: `timeout ${timeoutSeconds} bash -c '${getScript}' "$0" "$1" "$2" "$3"`, words }
}

/** Returns whether bash alone cannot request the URL. */
export function needsCurl(url: Word): boolean {
  return 'secret' in url || new URL(url.text).protocol === 'https:'
}

/** Returns a command line that waits up to 5 seconds until the address accepts connections. */
export function awaitAddress(host: string, port: number): string {
  const attempt = `timeout 1 bash -c '${connectScript}' "$0" "$1" 2>/dev/null`
  const script = `for _ in {1..5}; do ${attempt} && exit 0; sleep 1; done; echo "the MQTT broker at $0:$1 cannot be reached" >&2; exit 1`
  return commandLine(bash(script, textWords(host, String(port))))
}

export function commandLine(words: readonly Word[]): string {
  return words.map(execWord).join(' ')
}

function bash(script: string, words: readonly Word[]): readonly Word[] {
  return [...textWords('/bin/bash', '-c', script), ...words]
}

function textWords(...texts: readonly string[]): readonly Word[] {
  return texts.map((text) => ({ text }))
}

/** Quotes a word of ExecStart= and similar settings; a secret is the value of its variable, always as one word. */
export function execWord(word: Word): string {
  if ('secret' in word) return `\${${word.secret}}`
  return quoted(word.text.replaceAll('$', '$$$$'))
}

/** Quotes an assignment of Environment=. */
export function environmentWord(name: string, value: string): string {
  return quoted(`${name}=${value}`)
}

/** Escapes the value of a setting that takes the rest of the line, such as WorkingDirectory= and Description=. */
export function wholeLine(text: string): string {
  return text.replaceAll('%', '%%')
}

function quoted(text: string): string {
  if (/^[\w/.,:=+-]+$/.test(text)) return text
  return `"${text
    .replaceAll(/[\\"]/g, String.raw`\$&`)
    .replaceAll('%', '%%')
    .replaceAll(/(?![\u0080-\u009f])\p{Cc}/gu, escapeByte)}"`
}

function escapeByte(character: string): string {
  if (character === '\n') return String.raw`\n`
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
}

import type { Word } from './secret-words.ts'

/*
 * The quoting of unit files (systemd.syntax, systemd.service "Command lines", systemd.unit "Specifiers"). No shell is
 * involved: a word in double quotes with C escapes, `%%` for a percent sign, `$$` for a dollar where variables are expanded.
 */

/** One word of ExecStart= and its siblings; a secret is what its variable holds, as one word whatever is in it. */
export function execWord(word: Word): string {
  if ('secret' in word) return `\${${word.secret}}`
  return quoted(word.text.replaceAll('$', '$$$$'))
}

/** One assignment of Environment=. */
export function environmentWord(name: string, value: string): string {
  return quoted(`${name}=${value}`)
}

/** A setting whose whole rest of the line is the value, such as WorkingDirectory= and Description=. */
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

/** Milliseconds as systemd writes them. */
export function timeSpan(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`
}

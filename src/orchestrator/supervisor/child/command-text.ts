import { redact } from '../../config/redact.ts'
import { isSecretWord } from '../../config/secret-names.ts'

const MAX_LENGTH = 60

/** Returns a command line for a message: one line of at most 60 characters, without secrets. */
export function commandText(args: readonly string[], secretNames: readonly string[] = []): string {
  const shown = args.map((arg, index) => (isSecretWord(arg, args[index - 1], secretNames) ? '***' : arg)).join(' ')
  const text = Array.from(redact(shown.replaceAll(/[\s\p{Cc}]+/gu, ' '), secretNames).trim())
  return text.length <= MAX_LENGTH ? text.join('') : `${text.slice(0, MAX_LENGTH - 1).join('')}…`
}

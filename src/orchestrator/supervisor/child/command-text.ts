import { isSecretName, redact } from '../../config/redact.ts'

const MAX_LENGTH = 60

/** Returns a command line for a message: one line of at most 60 characters, without secrets. */
export function commandText(args: readonly string[]): string {
  const shown = args.map((arg, index) => (isSecretFlag(args[index - 1]) ? '***' : arg)).join(' ')
  const text = Array.from(redact(shown.replaceAll(/[\s\p{Cc}]+/gu, ' ')).trim())
  return text.length <= MAX_LENGTH ? text.join('') : `${text.slice(0, MAX_LENGTH - 1).join('')}…`
}

/** Returns whether the argument is a flag such as `--token` whose value is the next argument. */
function isSecretFlag(arg: string | undefined): boolean {
  return arg !== undefined && /^--?[\w-]+$/.test(arg) && isSecretName(arg)
}

import { isSecretName, redact } from '../config/redact.ts'

/** One word of a command line: as it is, or the name of a variable that holds it because it is secret. */
export type Word = { readonly text: string } | { readonly secret: string }

/** Shorter values of secrets are words of every day, and only found where they stand alone. */
const foundWithinFrom = 6

/** The values of all variables with a secret name: they may have been written into other places by interpolation. */
export function secretValuesOf(environment: Readonly<Record<string, string>>): ReadonlySet<string> {
  const values = Object.entries(environment).filter(([name, value]) => isSecretName(name) && value !== '')
  return new Set(values.map(([, value]) => value))
}

/** Whether a variable must not be written down (O-42): by its name, by a password in its URL, or by what it holds. */
export function isSecretVariable(name: string, value: string, secretValues: ReadonlySet<string>): boolean {
  return isSecretName(name) || isSecretText(value, secretValues)
}

/** The words of a command line, those that are secret replaced by a variable: `prefix` and the number of the word, from 1. */
export function hideSecrets(
  texts: readonly string[],
  secretValues: ReadonlySet<string>,
  prefix: string,
): readonly Word[] {
  return texts.map((text, index) => {
    const isSecret = isSecretText(text, secretValues) || followsSecretFlag(texts[index - 1])
    return isSecret ? { secret: `${prefix}_${index + 1}` } : { text }
  })
}

function isSecretText(text: string, secretValues: ReadonlySet<string>): boolean {
  if (redact(text) !== text || secretValues.has(text)) return true
  return [...secretValues].some((value) => value.length >= foundWithinFrom && text.includes(value))
}

/** As in `--password hunter2`. */
function followsSecretFlag(before: string | undefined): boolean {
  return before !== undefined && /^--?[^=\s]+$/.test(before) && isSecretName(before)
}

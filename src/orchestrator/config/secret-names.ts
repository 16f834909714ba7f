import { matchesPattern } from './pattern.ts'

/** Parts of names that are secret wherever they are: `PGPASSWORD`, `PrivateKey`. */
const ANYWHERE = /PASSWORD|TOKEN|SECRET|KEY/i

/** Words that are secret only as a whole word of a name, because others contain them: `DB_PASS` and `dbPass`, but not `COMPASS`. */
const WORDS: ReadonlySet<string> = new Set([
  'AUTH',
  'AUTHORIZATION',
  'CREDENTIAL',
  'CREDENTIALS',
  'CREDS',
  'DSN',
  'JWT',
  'PASS',
  'PASSPHRASE',
  'PASSWD',
  'PGPASS',
  'PWD',
])

/** Names that are not secret although they match: the folders of a shell, and the key of the configuration that lists names. */
const NOT_SECRET: ReadonlySet<string> = new Set(['PWD', 'OLDPWD', 'secret_names'])

/**
 * Returns whether the value of a variable, flag or key of this name is secret. `further`: the `secret_names` of a configuration, in
 * which `*` is any text and `?` any character; upper and lower case, and `-` and `_`, are equal.
 */
export function isSecretName(name: string, further: readonly string[] = []): boolean {
  if (NOT_SECRET.has(name.replace(/^\$/, ''))) return false
  if (ANYWHERE.test(name) || hasSecretWord(name)) return true
  return further.some((pattern) => matchesPattern(plainName(pattern), plainName(name)))
}

/** Returns whether a secret name can also be that of a host or a process, as `auth` in `auth:8080` and `"auth": {"command": …}`. */
export function isAmbiguous(name: string): boolean {
  return !ANYWHERE.test(name)
}

function hasSecretWord(name: string): boolean {
  const words = name.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g) ?? []
  return words.some((word) => WORDS.has(word.toUpperCase()))
}

function plainName(name: string): string {
  return name.replace(/^--?/, '').replaceAll('-', '_').toLowerCase()
}

/** Returns whether a word of a command line is a flag with a secret name, whose value may be the next word: `--password`. */
export function isSecretFlag(word: string, further: readonly string[] = []): boolean {
  return /^--?[^=\s]+$/.test(word) && isSecretName(word, further)
}

/** Returns whether a word of a command line is the value of the flag before it. In `--auth --port 80`, `--port` is another flag. */
export function isSecretWord(word: string, before: string | undefined, further: readonly string[] = []): boolean {
  return before !== undefined && isSecretFlag(before, further) && !/^--[A-Za-z]/.test(word)
}

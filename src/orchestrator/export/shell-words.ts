import type { Word } from './secret-words.ts'

/** A word as a POSIX shell reads it back; a secret is what its variable holds. */
export function shellWord(word: Word): string {
  if ('secret' in word) return `"\$${word.secret}"`
  return /^[\w/.,:=@%+-]+$/.test(word.text) ? word.text : `'${word.text.replaceAll("'", String.raw`'\''`)}'`
}

export function shellLine(words: readonly Word[]): string {
  return words.map(shellWord).join(' ')
}

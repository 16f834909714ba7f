import { type DraftProcess, splitWords } from '../draft.ts'
import { type ServiceContext, translateWords } from './context.ts'
import type { Service } from './schema.ts'
import { hasVariables, literalText } from './variables.ts'

type Words = Service['command']

/** Returns the words of `command` or `entrypoint`, with the variables of Compose. */
export function wordsOf(part: Words): readonly string[] {
  if (part === undefined || part === null) return []
  return typeof part === 'string' ? splitWords(part) : part.map(String)
}

/** Returns the command of the words: a line for the shell if they are `sh -c LINE`, and Compose replaces nothing in the line. */
export function commandOfWords(words: readonly string[], context: ServiceContext): DraftProcess {
  const [shell = '', flag, line = ''] = words
  if (/^(?:\/bin\/)?sh$/.test(shell) && flag === '-c' && words.length === 3 && !hasVariables(line)) {
    const isUnchanged = context.hosts.mentioned(line).length === 0
    if (isUnchanged && line !== '') return { command: literalText(line), shell: true }
  }
  const [command = '', ...args] = translateWords(words, 'command', context)
  return args.length === 0 ? { command } : { command, args }
}

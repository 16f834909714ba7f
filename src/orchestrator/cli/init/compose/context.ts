import type { ProjectFolder } from '../draft.ts'
import type { ServiceHosts } from './hosts.ts'
import type { Service } from './schema.ts'
import type { ComposeVariables } from './variables.ts'

/** What the translation of one service needs. */
export interface ServiceContext {
  readonly name: string
  readonly service: Service
  readonly project: ProjectFolder
  readonly variables: ComposeVariables
  readonly hosts: ServiceHosts
  readonly note: (text: string) => void
}

/** Translates variables and host names in a text; `place` names it in notes. `isHost`: a service name is likely to be a host. */
export function translate(text: string, place: string, context: ServiceContext): string {
  const { name, variables, hosts, note } = context
  const { text: result, changes, remaining } = hosts.rewrite(variables.forFile(text))
  for (const change of changes) note(`${place}: ${change}`)
  for (const service of remaining.filter((other) => other !== name)) note(`${place}: ${hosts.advice(service)}`)
  return result
}

/** Translates the words of a command, in which the name of a service alone is rarely a host. */
export function translateWords(words: readonly string[], place: string, context: ServiceContext): readonly string[] {
  return words.map((word, index) => {
    const isBare = context.hosts.mentioned(word).length > 0 && /^[\w.-]+$/.test(word)
    const isHost = /^-h$|host|server|addr/i.test(words[index - 1] ?? '')
    return isBare && !isHost ? context.variables.forFile(word) : translate(word, place, context)
  })
}

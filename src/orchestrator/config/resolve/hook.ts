import type { JsonPath } from '../source/json-source.ts'
import type { ResolvedHook } from '../resolved.ts'
import type { OnFailedFile } from '../schema/automation.ts'

export interface HookContext {
  /** The folder of the file that contains the key; commands run there. */
  readonly folder: string
  /** Replaces the variables of a text; `keys` lead to it from the hook. */
  readonly interpolate: (text: string, keys: JsonPath) => string
  readonly refuse: (keys: JsonPath, problem: string) => void
}

/** Interpolates and checks a hook. A line for the shell stays as it is: the shell replaces its variables. */
export function resolveHook(file: Exclude<OnFailedFile, undefined>, context: HookContext): ResolvedHook {
  const { folder: cwd, interpolate, refuse } = context
  if (typeof file === 'string') return { type: 'command', command: '/bin/sh', args: ['-c', file], cwd }
  const { command, args = [], webhook = '' } = file
  if (command !== undefined) {
    const words = args.map((arg, index) => interpolate(arg, ['args', index]))
    return { type: 'command', command: interpolate(command, ['command']), args: words, cwd }
  }
  const url = interpolate(webhook, ['webhook'])
  // The URL is not shown, because it can contain a secret.
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) refuse(['webhook'], 'expected an http or https URL')
  return { type: 'webhook', url }
}

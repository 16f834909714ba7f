import { nearestName } from '../../config/nearest-name.ts'

/** The state of the keyboard: what was typed at the prompt of `r`; null without a prompt. */
export interface KeyState {
  readonly prompt: { readonly typed: string; readonly names: readonly string[] } | null
}

export const IDLE: KeyState = { prompt: null }

/** The effect of a key. */
export type KeyEffect =
  | { readonly type: 'restart'; readonly name: string }
  | { readonly type: 'status' }
  | { readonly type: 'clear' }
  | { readonly type: 'quit' }
  /** Writes to the terminal. */
  | { readonly type: 'print'; readonly text: string }

export interface KeyStep {
  readonly state: KeyState
  readonly effects: readonly KeyEffect[]
}

export const KEY_HELP = `keys:
  r        restart a process
  s        show the status of the processes
  l        clear the screen
  Enter    print an empty line
  q        the same as Ctrl-C
  ?        show this help
`

/** Up to this number of processes, a digit selects one without Enter. */
const MAX_DIGITS = 9
/** The number of names that a message lists. */
const MAX_LISTED = 8

/**
 * Returns the effects of one piece of input. A piece of several characters is a paste: it has no effect, except at the prompt, where
 * its first line is typed. `names`: the processes.
 */
export function handleKeys(state: KeyState, input: string, names: readonly string[]): KeyStep {
  if (state.prompt !== null) return atPrompt(state.prompt, input)
  switch (input) {
    case 'r':
      return { state: { prompt: { typed: '', names } }, effects: [print(listOf(names))] }
    case 's':
      return { state, effects: [{ type: 'status' }] }
    case 'l':
      return { state, effects: [{ type: 'clear' }] }
    case 'q':
      return { state, effects: [{ type: 'quit' }] }
    case '?':
    case 'h':
      return { state, effects: [print(KEY_HELP)] }
    case '\n':
    case '\r':
      return { state, effects: [print('\n')] }
    default:
      return { state, effects: [] }
  }
}

type Prompt = NonNullable<KeyState['prompt']>

function atPrompt(prompt: Prompt, input: string): KeyStep {
  const { names, typed } = prompt
  if (input === '\u001b' || input === '\u0004') return end('nothing is restarted\n')
  // Cursor keys and the like.
  if (input.startsWith('\u001b')) return { state: { prompt }, effects: [] }
  if (input === '\u007f' || input === '\b') return type(prompt, typed.slice(0, -1))
  if (input === '\u0015') return type(prompt, '')
  if (input === '\t') return type(prompt, completionOf(typed, names))
  const [line = '', ...rest] = input.split(/[\r\n]/)
  // oxlint-disable-next-line no-control-regex -- control characters are the subject
  const text = typed + line.replaceAll(/[\u0000-\u001f\u007f]/g, '')
  if (rest.length > 0) return choose(text.trim(), names)
  if (typed === '' && names.length <= MAX_DIGITS && /^[1-9]$/.test(text) && Number(text) <= names.length) {
    return choose(text, names)
  }
  return type(prompt, text)
}

function type({ names }: Prompt, typed: string): KeyStep {
  return { state: { prompt: { typed, names } }, effects: [] }
}

function end(text: string): KeyStep {
  return { state: IDLE, effects: [print(text)] }
}

function choose(text: string, names: readonly string[]): KeyStep {
  if (text === '') return end('nothing is restarted\n')
  const [name, ...others] = matching(text, names)
  if (name === undefined) {
    const nearest = nearestName(text, names)
    return end(`no process "${text}"${nearest === null ? '' : `; did you mean "${nearest}"?`}\n`)
  }
  if (others.length > 0) return end(`"${text}" is ambiguous: ${listed(names.filter((one) => one.startsWith(text)))}\n`)
  return { state: IDLE, effects: [print(`restarting ${name}\n`), { type: 'restart', name }] }
}

/**
 * Returns the process with this name or number; otherwise all processes and replicas that begin so. The name of a process with
 * replicas means all of them, and `all` means all processes.
 */
function matching(text: string, names: readonly string[]): readonly string[] {
  const processes = [...new Set(names.map((name) => name.replace(/#\d+$/, '')))]
  if (text === 'all' || names.includes(text) || processes.includes(text)) return [text]
  const numbered = /^\d+$/.test(text) ? names[Number(text) - 1] : undefined
  if (numbered !== undefined) return [numbered]
  const begun = processes.filter((name) => name.startsWith(text))
  return begun.length > 0 ? begun : names.filter((name) => name.startsWith(text))
}

function listed(names: readonly string[]): string {
  const more = names.length - MAX_LISTED
  return `${names.slice(0, MAX_LISTED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

/** Returns the longest common beginning of the names that begin so. */
function completionOf(typed: string, names: readonly string[]): string {
  const [first, ...others] = [...names, 'all'].filter((name) => name.startsWith(typed))
  if (first === undefined) return typed
  let length = first.length
  while (!others.every((name) => name.startsWith(first.slice(0, length)))) length--
  return first.slice(0, length)
}

function listOf(names: readonly string[]): string {
  return `restart: ${names.map((name, index) => `${index + 1} ${name}`).join('  ')}  all\n`
}

/** Returns the last line of the terminal; null without a prompt. */
export function promptText({ prompt }: KeyState): string | null {
  return prompt === null ? null : `number or name (Esc cancels): ${prompt.typed}`
}

function print(text: string): KeyEffect {
  return { type: 'print', text }
}

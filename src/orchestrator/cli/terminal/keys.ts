import { nearestName } from '../../config/errors.ts'

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

const ERASE_LINE = '\r\u001b[K'
/** Up to this number of processes, a digit selects one without Enter. */
const MAX_DIGITS = 9

/**
 * Returns the effects of one piece of input. A piece of several characters is a paste: it has no effect, except at the prompt, where
 * its first line is typed. `names`: the processes.
 */
export function handleKeys(state: KeyState, input: string, names: readonly string[]): KeyStep {
  if (state.prompt !== null) return atPrompt(state.prompt, input)
  switch (input) {
    case 'r':
      return { state: { prompt: { typed: '', names } }, effects: [print(`${listOf(names)}${promptLine('')}`)] }
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
  if (input === '\u001b' || input === '\u0004') return end(`${ERASE_LINE}nothing is restarted\n`)
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
  return { state: { prompt: { typed, names } }, effects: [print(promptLine(typed))] }
}

function end(text: string): KeyStep {
  return { state: IDLE, effects: [print(text)] }
}

function choose(text: string, names: readonly string[]): KeyStep {
  if (text === '') return end(`${ERASE_LINE}nothing is restarted\n`)
  const name = nameOf(text, names)
  if (name === null) {
    const nearest = nearestName(text, names)
    return end(`${ERASE_LINE}no process "${text}"${nearest === null ? '' : `; did you mean "${nearest}"?`}\n`)
  }
  return { state: IDLE, effects: [print(`${ERASE_LINE}restarting ${name}\n`), { type: 'restart', name }] }
}

/** Returns the process with this name, this number, or the only one that begins so; null otherwise. `all` means all. */
function nameOf(text: string, names: readonly string[]): string | null {
  if (text === 'all' || names.includes(text)) return text
  const numbered = /^\d+$/.test(text) ? names[Number(text) - 1] : undefined
  if (numbered !== undefined) return numbered
  const [only, ...others] = names.filter((name) => name.startsWith(text))
  return others.length > 0 ? null : (only ?? null)
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

function promptLine(typed: string): string {
  return `${ERASE_LINE}number or name (Esc cancels): ${typed}`
}

function print(text: string): KeyEffect {
  return { type: 'print', text }
}

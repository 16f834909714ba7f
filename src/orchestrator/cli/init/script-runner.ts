import { splitWords } from './draft.ts'

/** What a runner starts: a script of package.json, or a command line. */
export interface Started {
  /** The name that the runner shows; null without one. */
  readonly name: string | null
  /** The name of a script, or a pattern such as `dev:*`; null for a command line. */
  readonly script: RegExp | null
  readonly line: string
}

/** Steps one after the other; what is in one step runs at the same time. */
export type Steps = readonly (readonly Started[])[]

/** Returns what a line of concurrently or npm-run-all starts; null if it is another line, or one that cannot be read. */
export function stepsOf(line: string): Steps | null {
  if (/[|&;<>$`]/.test(line.replaceAll(/"[^"]*"|'[^']*'/g, ''))) return null
  const [runner = '', ...args] = splitWords(line)
  if (runner === 'concurrently') return readConcurrently(args)
  if (runner === 'run-p') return readRunAll(args, true)
  if (runner === 'run-s') return readRunAll(args, false)
  return /^npm-run-all2?$/.test(runner) ? readRunAll(args, false) : null
}

/** Flags of concurrently that have a value. Their short forms can end a group such as `-kn`. */
const valueFlag =
  /^(?:-[a-zA-Z]*[ncpltsm]|--(?:names|prefix-colors|prefix|prefix-length|timestamp-format|success|max-processes|name-separator|restart-tries|restart-after|default-input-target|hide|kill-signal|kill-timeout))$/
/** Flags that change what the commands are. */
const unsupportedFlag = /^(?:--cwd|--teardown|-P|--passthrough-arguments)(?:=|$)/

function readConcurrently(args: readonly string[]): Steps | null {
  const lines: string[] = []
  let names = ''
  const rest = [...args]
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (unsupportedFlag.test(arg)) return null
    if (!arg.startsWith('-')) {
      lines.push(arg)
      continue
    }
    const [flag = '', inline] = arg.split('=')
    const value = inline ?? (valueFlag.test(flag) ? rest.shift() : undefined)
    if (/^(?:-[a-zA-Z]*n|--names)$/.test(flag)) names = value ?? ''
  }
  if (lines.length === 0) return null
  const shown = names.split(',')
  return [lines.map((line, index) => startedBy(line, shown[index]?.trim() ?? ''))]
}

function startedBy(line: string, shown: string): Started {
  const name = shown === '' ? null : shown
  const [, short, long] =
    /^(?:npm|yarn|pnpm|bun):(\S+)$|^(?:(?:npm|pnpm|yarn|bun) run|npm(?= start$)|yarn(?= \S+$)|pnpm(?= \S+$)) (\S+)$/.exec(
      line,
    ) ?? []
  const script = short ?? long
  return { name, script: script === undefined ? null : pattern(script, '.*'), line }
}

/** Reads the arguments of npm-run-all, whose `--parallel` and `--serial` apply to the scripts after them. */
function readRunAll(args: readonly string[], isParallelFirst: boolean): Steps | null {
  const steps: Started[][] = []
  let isParallel = isParallelFirst
  let isOpen = false
  for (const arg of args) {
    if (/^(?:-p|--parallel|-s|--serial|--sequential)$/.test(arg)) {
      isParallel = arg === '-p' || arg === '--parallel'
      isOpen = false
    } else if (arg === '--' || /^--(?:max-parallel|npm-path)/.test(arg)) return null
    else if (!arg.startsWith('-')) {
      const started = { name: null, script: pattern(arg, '[^:]*'), line: arg }
      if (isOpen) steps.at(-1)?.push(started)
      else steps.push([started])
      isOpen = isParallel
    }
  }
  return steps.length === 0 ? null : steps
}

/** Returns the names of scripts that match a glob; `**` is any text, `*` is `star`. */
function pattern(glob: string, star: string): RegExp {
  const parts = glob.split(/(\*\*?)/).map((part) => {
    if (part === '**') return '.*'
    return part === '*' ? star : part.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)
  })
  return new RegExp(`^${parts.join('')}$`)
}

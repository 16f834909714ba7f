import { type Argument, type Command, Help, type Option } from 'commander'
import { childOf, toValue } from '../config/source/json-source.ts'
import { nearestFile } from '../config/source/nearest-file.ts'
import { readConfigSource } from '../config/source/read.ts'
import { prefixKinds } from '../supervisor/output/prefixes.ts'
import { effectiveOptions } from './commands/usage.ts'
import { type Shell, shells } from './options.ts'

/** The candidate that makes the shell complete a path. */
const PATHS = '@files'
const MAX_INSTANCES = 1000

/*
 * The scripts contain no list of commands. They pass the words before the cursor to `completion --words`, so that the
 * candidates match the installed version.
 */

const bash = `# Completion of ponix-orchestrator for bash: source this, or put it in the folder of bash-completion.
_ponix_orchestrator() {
  local line=\${COMP_LINE:0:COMP_POINT} piece=\${COMP_WORDS[COMP_CWORD]} words word prefix found
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  word=\${words[\${#words[@]}-1]}
  # Bash completes only what follows the last = or :.
  [[ $piece == [=:] ]] && piece=
  prefix=\${word%"$piece"}
  COMPREPLY=()
  while IFS= read -r found; do
    if [[ $found == @files ]]; then
      compopt -o default 2>/dev/null
      return
    fi
    COMPREPLY+=("\${found#"$prefix"}")
  done < <("$1" completion --words -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _ponix_orchestrator ponix-orchestrator
`

const zsh = `#compdef ponix-orchestrator
# Completion of ponix-orchestrator for zsh: source this after compinit, or put it as _ponix-orchestrator into a folder of fpath.
_ponix_orchestrator() {
  local -a found
  found=("\${(@f)$("\${words[1]}" completion --words -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ "\${found[1]}" == @files ]]; then
    compset -P '--*='
    _files
  else
    compadd -- "\${(@)found:#}"
  fi
}
if [ "\${funcstack[1]}" = "_ponix-orchestrator" ]; then
  _ponix_orchestrator
else
  compdef _ponix_orchestrator ponix-orchestrator
fi
`

const fish = `# Completion of ponix-orchestrator for fish: put this in ~/.config/fish/completions/ponix-orchestrator.fish
function __ponix_orchestrator_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found ($words[1] completion --words -- $words[2..-1] 2>/dev/null)
  if test "$found[1]" = @files
    set -l option (string match -r -- '^--[^=]+=' (commandline -ct))
    string join \\n -- "$option"(__fish_complete_path (string replace -- "$option" '' (commandline -ct)))
  else
    string join \\n -- $found
  end
end
complete -c ponix-orchestrator -f -a '(__ponix_orchestrator_complete)'
`

const scripts: Readonly<Record<Shell, string>> = { bash, zsh, fish }

/** Prints the completion script of a shell. */
export function completion(shell: Shell): void {
  process.stdout.write(scripts[shell])
}

/** Prints the candidates for the last of the words typed after the program's name, one per line. */
export function completeWords(program: Command, words: readonly string[]): void {
  const typed = words.at(-1) ?? ''
  const position = readWords(program, words.slice(0, -1))
  const [, flag] = /^(--[^=]+)=/.exec(typed) ?? []
  const found = flag === undefined ? candidates(typed, position) : assignments(typed, flag, position)
  const offered = found.filter((word) => word === PATHS || word.startsWith(typed))
  process.stdout.write(offered.map((word) => `${word}\n`).join(''))
}

function assignments(typed: string, flag: string, position: Position): readonly string[] {
  const head = `${flag}=`
  const values = valuesOf(valueOption(position, flag), typed.slice(head.length), position.config)
  return values.map((value) => (value === PATHS ? PATHS : head + value))
}

/** The context that the words before the cursor determine. */
interface Position {
  readonly program: Command
  /** Null before the command: the next word is a command or an option of `run`. */
  readonly command: Command | null
  /** The option whose value is the next word. */
  readonly option: Option | undefined
  readonly argumentCount: number
  readonly config: string
}

function readWords(program: Command, words: readonly string[]): Position {
  let command: Command | null = null
  let option: Option | undefined
  let argumentCount = 0
  let config = nearestFile()
  for (const word of words) {
    if (option !== undefined) {
      if (option.long === '--config') config = word
      option = undefined
    } else if (word.startsWith('-')) {
      config = /^(?:--config=|-c)(.+)/.exec(word)?.[1] ?? config
      option = valueOption({ program, command }, word)
    } else if (command === null) {
      command = program.commands.find((known) => known.name() === word) ?? null
    } else {
      argumentCount += 1
    }
  }
  return { program, command, option, argumentCount, config }
}

function candidates(typed: string, position: Position): readonly string[] {
  const { program, command, option, argumentCount, config } = position
  if (option !== undefined) return valuesOf(option, typed, config)
  if (typed.startsWith('-')) return optionsOf(position).flatMap(({ long }) => long ?? [])
  if (command === null) return [...program.commands.map((known) => known.name()), 'help']
  const { registeredArguments } = command
  const last = registeredArguments.at(-1)
  const argument = registeredArguments[argumentCount] ?? (last?.variadic === true ? last : undefined)
  return argument === undefined ? [] : argumentValues(argument, typed, config)
}

/** Returns the options of a position; without a command, it is `run`. */
function optionsOf({ program, command }: Pick<Position, 'program' | 'command'>): readonly Option[] {
  const own = command ?? program.commands.find((known) => known.name() === 'run')
  const help = new Help()
  const ofProgram = own === undefined ? program.options : effectiveOptions(program, own)
  const visible = [...ofProgram.filter(({ hidden }) => !hidden), ...(own === undefined ? [] : help.visibleOptions(own))]
  return [...new Map(visible.map((option) => [option.flags, option])).values()]
}

/** Returns the option of a flag, if it takes a value. */
function valueOption(position: Pick<Position, 'program' | 'command'>, flag: string): Option | undefined {
  return optionsOf(position).find(
    ({ long, short, required, optional }) => (flag === long || flag === short) && (required || optional),
  )
}

/** Returns the values of an option, of which `typed` is the beginning. */
function valuesOf(option: Option | undefined, typed: string, config: string): readonly string[] {
  if (option === undefined) return []
  if (option.argChoices !== undefined) return option.argChoices
  if (/<(?:path|folder)>/.test(option.flags)) return [PATHS]
  if (option.long === '--profile') return listsOf(profilesIn(config), typed)
  if (option.long === '--prefix') return prefixKinds
  if (['--exit-code-from', '--show-env'].includes(option.long ?? '')) return namesIn(config)
  return ['--only', '--disable', '--watch'].includes(option.long ?? '') ? listsOf(namesIn(config), typed) : []
}

function argumentValues(argument: Argument, typed: string, config: string): readonly string[] {
  if (argument.name() === 'shell') return shells
  return argument.argChoices ?? (argument.name() === 'names' ? listsOf(namesIn(config), typed) : [])
}

/** Returns the lists with commas that begin with the complete elements of `typed` and end with a name that they do not contain. */
function listsOf(names: readonly string[], typed: string): readonly string[] {
  const begun = typed.slice(0, typed.lastIndexOf(',') + 1)
  const elements = begun.split(',')
  return names.filter((name) => !elements.includes(name)).map((name) => begun + name)
}

function namesIn(config: string): readonly string[] {
  return processesIn(config).flatMap(namesOf)
}

function profilesIn(config: string): readonly string[] {
  const profiles = processesIn(config).flatMap(([, file]): readonly unknown[] =>
    typeof file === 'object' && file !== null && 'profiles' in file && Array.isArray(file.profiles)
      ? file.profiles
      : [],
  )
  return [...new Set(profiles.filter((profile) => typeof profile === 'string'))]
}

/** Returns the processes of a file; an invalid file has none. */
function processesIn(config: string): readonly (readonly [string, unknown])[] {
  try {
    const processes = toValue(childOf(readConfigSource(config).root, 'processes'))
    return typeof processes === 'object' && processes !== null ? Object.entries(processes) : []
  } catch {
    return []
  }
}

/** Returns the name of a process and the names of its instances. */
function namesOf([name, file]: readonly [string, unknown]): readonly string[] {
  const replicas = typeof file === 'object' && file !== null && 'replicas' in file ? file.replicas : 0
  const count = typeof replicas === 'number' && replicas > 0 && replicas <= MAX_INSTANCES ? Math.floor(replicas) : 0
  return [name, ...Array.from({ length: count }, (_, index) => `${name}#${index + 1}`)]
}

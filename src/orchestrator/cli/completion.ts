import { readFileSync } from 'node:fs'
import { type Argument, type Command, Help, type Option } from 'commander'
import { type Shell, shells } from './options.ts'

/*
 * The scripts hold no list of commands: they ask the program itself, with every word up to the one that is being completed,
 * so that what they offer is what the installed version understands. `@files` stands for the shell's own completion of paths.
 */

const bash = `# Completion of ponix-orchestrator for bash: source this, or put it into the folder of bash-completion.
_ponix_orchestrator() {
  local line=\${COMP_LINE:0:COMP_POINT} piece=\${COMP_WORDS[COMP_CWORD]} words word prefix found
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  word=\${words[\${#words[@]}-1]}
  # Bash completes from the last = or : on.
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

const fish = `# Completion of ponix-orchestrator for fish: put this into ~/.config/fish/completions/ponix-orchestrator.fish
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

/** `completion`: prints the script that teaches a shell to complete what this program understands (O-11). */
export async function completion(shell: Shell): Promise<number> {
  process.stdout.write(scripts[shell])
  return 0
}

/** The shell is to complete a path. */
const files = '@files'
/** As many as a process can have. */
const MOST_INSTANCES = 1000

/** Prints what the last of the words could become, one line each; nothing if that is anybody's guess (O-11). */
export async function completeWords(program: Command, words: readonly string[]): Promise<number> {
  const found = completionsOf(program, words, namesIn)
  process.stdout.write(found.map((word) => `${word}\n`).join(''))
  return 0
}

/**
 * What the last of the words, as typed after the program's name, could become. `namesIn` gives the names of the processes in
 * a configuration file.
 */
export function completionsOf(
  program: Command,
  words: readonly string[],
  namesIn: (config: string) => readonly string[],
): readonly string[] {
  const typed = words.at(-1) ?? ''
  const before = readWords(program, words.slice(0, -1))
  const names = () => namesIn(before.config)
  const joined = /^(--[^=]+=)(.*)$/.exec(typed)
  const found =
    joined === null ? candidates(typed, before, names) : joinedCandidates(program, joined[1] ?? '', before, names)
  return found.filter((word) => word === files || word.startsWith(typed))
}

/** Where in the command line its last word stands. */
interface Place {
  readonly program: Command
  /** Null before the command: what is typed there is the command, or an option of `run`. */
  readonly command: Command | null
  /** Waits for its value. */
  readonly option: Option | null
  /** How many arguments the command has by now. */
  readonly argumentCount: number
  readonly config: string
}

function readWords(program: Command, words: readonly string[]): Place {
  let command: Command | null = null
  let option: Option | null = null
  let argumentCount = 0
  let config = 'commonplace.json'
  for (const word of words) {
    if (option !== null) {
      if (option.long === '--config') config = word
      option = null
    } else if (word.startsWith('-')) {
      if (word.startsWith('--config=')) config = word.slice('--config='.length)
      option = optionsOf(program, command).find((known) => isCalled(known, word) && takesValue(known)) ?? null
    } else if (command === null) {
      command = program.commands.find((known) => known.name() === word) ?? null
    } else {
      argumentCount += 1
    }
  }
  return { program, command, option, argumentCount, config }
}

function candidates(typed: string, place: Place, names: () => readonly string[]): readonly string[] {
  const { program, command, option, argumentCount } = place
  if (option !== null) return valuesOf(option, names)
  if (typed.startsWith('-')) return optionsOf(program, command).flatMap(({ long }) => long ?? [])
  if (command === null) return [...program.commands.map((known) => known.name()), 'help']
  const { registeredArguments } = command
  const last = registeredArguments.at(-1)
  const argument = registeredArguments[argumentCount] ?? (last?.variadic === true ? last : undefined)
  return argument === undefined ? [] : argumentValues(argument, names)
}

/** As in `--only=store`. */
function joinedCandidates(
  program: Command,
  beginning: string,
  { command }: Place,
  names: () => readonly string[],
): readonly string[] {
  const option = optionsOf(program, command).find(
    (known) => isCalled(known, beginning.slice(0, -1)) && takesValue(known),
  )
  const values = option === undefined ? [] : valuesOf(option, names)
  return values.map((value) => (value === files ? files : `${beginning}${value}`))
}

/** The program's own are understood everywhere; without a command it is `run` that happens. */
function optionsOf(program: Command, command: Command | null): readonly Option[] {
  const own = command ?? program.commands.find((known) => known.name() === 'run')
  const help = new Help()
  const visible = [program, ...(own === undefined ? [] : [own])].flatMap((known) => help.visibleOptions(known))
  return [...new Map(visible.map((option) => [option.flags, option])).values()]
}

function isCalled({ long, short }: Option, word: string): boolean {
  return word === long || word === short
}

function takesValue(option: Option): boolean {
  return option.required || option.optional
}

function valuesOf(option: Option, names: () => readonly string[]): readonly string[] {
  if (option.argChoices !== undefined) return option.argChoices
  if (/<(?:path|folder)>/.test(option.flags)) return [files]
  return ['--only', '--disable', '--exit-code-from'].includes(option.long ?? '') ? names() : []
}

function argumentValues(argument: Argument, names: () => readonly string[]): readonly string[] {
  if (argument.name() === 'shell') return shells
  return argument.argChoices ?? (argument.name() === 'names' ? names() : [])
}

/** What is wrong with a file is told by those who run it. */
function namesIn(config: string): readonly string[] {
  try {
    const file: unknown = JSON.parse(readFileSync(config, 'utf8'))
    if (typeof file !== 'object' || file === null || !('processes' in file)) return []
    const { processes } = file
    return typeof processes === 'object' && processes !== null ? Object.entries(processes).flatMap(namesOf) : []
  } catch {
    return []
  }
}

/** Its own, and those of its instances. */
function namesOf([name, process]: [string, unknown]): readonly string[] {
  const replicas = typeof process === 'object' && process !== null && 'replicas' in process ? process.replicas : 0
  const count = typeof replicas === 'number' && replicas > 0 && replicas <= MOST_INSTANCES ? Math.floor(replicas) : 0
  return [name, ...Array.from({ length: count }, (_, index) => `${name}#${index + 1}`)]
}

import type { Shell } from './completion-options.ts'

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

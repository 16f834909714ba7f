# The guard of one run of ponix-orchestrator: it stops the processes if the orchestrator is killed. Usage: ponix-guard.sh CONFIG,
# with the paths of the lock file and of node in PONIX_GUARD_LOCK and PONIX_GUARD_NODE. CONFIG only shows in a process list.
#
# It holds the lock, reads plans from its stdin and executes the last plan at the end of the input, unless the last line is `done`:
# the kernel closes the pipe even if the orchestrator is killed. `flock` (util-linux, busybox) is optional; without it only the
# record keeps two runs apart.
#
# A line `terminal PATH CURRENT BEFORE` makes the guard restore a terminal, unless its mode was changed meanwhile, as shells do.

trap '' HUP INT TERM
umask 077

# The holder of the lock removes the file before it releases the lock, so a guard that has waited may hold a file that no longer
# has the path; it then locks the file that has.
lock() {
  command exec 9>>"$1" || { mkdir -p "${1%/*}" && command exec 9>>"$1"; } || return 1
  command -v flock || return 0
  flock 9
  [ ! -e /dev/fd/9 ] || [ "$1" -ef /dev/fd/9 ]
}

# systemd-tmpfiles keeps a locked folder, with everything in it, however old it is.
keep_folder() {
  command exec 8<"${1%/*}" && command -v flock && flock -s -n 8
}

# The whole script is read before it runs, so that a new version of the package cannot change it meanwhile.
guard() {
  # The name in top and pstree.
  { printf ponix-guard >"/proc/$$/comm"; } 2>/dev/null
  # Far more than the runs whose end a guard meets.
  tries=100
  until lock "$PONIX_GUARD_LOCK" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || exit 73
  done
  echo held
  exec >/dev/null
  keep_folder "$PONIX_GUARD_LOCK"
  plan=done
  terminal=
  while IFS= read -r line; do
    case $line in
      terminal*) terminal=${line#terminal} ;;
      *) plan=$line ;;
    esac
  done
  [ "$plan" != done ] || exit 0
  set -- "$1" $terminal
  [ "$#" -lt 4 ] || [ "$(stty -g <"$2")" != "$3" ] || stty "$4" <"$2"
  printf '%s\n' "$plan" | "$PONIX_GUARD_NODE" "${0%/*}/guard.js" "$1"
  exit
}
guard "$@"

import { commandLineOf, type Relations, relationsOf } from '../../supervisor/system/process-table.ts'

/** Programs that wait for the command they run and do not pass signals on. */
const SHELLS = new Set(['sh', 'dash', 'bash', 'zsh', 'ksh', 'mksh', 'fish', 'ash', 'busybox', 'make', 'script'])
const CHECK_PARENT_MS = 500
/** A `&` that runs a command in the background; not `&&`, `>&`, `&>` and `<&`. */
const BACKGROUND = /(?:^|[^&<>\\])&(?![&>])/

type Lookup = (pid: number) => Relations | null

/**
 * Returns the number of programs that may pass a signal on to the process after the whole process group has received it: its
 * consecutive ancestors in the same process group, up to a shell. npm is one: it passes SIGINT and SIGTERM on to its direct
 * child, which is a shell that does not pass them on (dash), or this program if the shell has replaced itself (bash, `exec`).
 */
export function countForwarders(pid: number, lookup: Lookup = relationsOf): number {
  const own = lookup(pid)
  if (own === null) return 0
  let count = 0
  for (let parent = own.parent; parent > 1; count++) {
    const relations = lookup(parent)
    if (relations === null || relations.group !== own.group || SHELLS.has(relations.program)) return count
    ;({ parent } = relations)
  }
  return count
}

/**
 * Returns whether the process runs in the foreground of a shell of npm. npm passes SIGTERM on to this shell only, so the end of
 * the shell is the only sign of it.
 */
export function isInShellOfNpm(
  { pid, environment }: { readonly pid: number; readonly environment: NodeJS.ProcessEnv },
  lookup: Lookup = relationsOf,
  commandLine: (pid: number) => readonly string[] = commandLineOf,
): boolean {
  const own = lookup(pid)
  const parent = own === null ? null : lookup(own.parent)
  if (environment['npm_command'] === undefined || own === null || parent === null) return false
  const [, option, script = ''] = commandLine(own.parent)
  return parent.group === own.group && SHELLS.has(parent.program) && option === '-c' && !BACKGROUND.test(script)
}

/** Calls `onGone` once if the parent of this process has ended. Returns a function that stops the checks. */
export function watchParent(onGone: () => void): () => void {
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    onGone()
  }, CHECK_PARENT_MS).unref()
  return () => clearInterval(timer)
}

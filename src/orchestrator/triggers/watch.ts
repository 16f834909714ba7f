import { existsSync, lstatSync, realpathSync } from 'node:fs'
import { dirname, sep } from 'node:path'
import { type FSWatcher, watch as openWatcher } from 'chokidar'
import { codeOf, messageOf } from '../config/errors.ts'
import type { ResolvedWatch } from '../config/resolved.ts'
import { Debounce } from './debounce.ts'
import { describeChanges, displayPath, watchedFiles } from './watched-files.ts'

export interface WatchListener {
  /** Called after each burst of changes; `because` is a text such as `src/app.js has changed`. */
  onChange(because: string): void
  /** Called when changes are seen from now on. */
  onReady(): void
  /** Called once per reason why some changes are not seen. */
  onProblem(reason: string): void
}

/** Watches files until the signal is aborted. `ownFiles` are files that the orchestrator writes. */
export function watchFiles(
  watch: ResolvedWatch,
  ownFiles: readonly string[],
  listener: WatchListener,
  signal: AbortSignal,
): void {
  if (signal.aborted) return
  const { folder, debounceMs } = watch
  const files = watchedFiles(watch, ownFiles)
  const changes = new Debounce(debounceMs, (paths) => listener.onChange(describeChanges(paths)))
  const watcher = openWatcher(files.folders.map(existingFolder), {
    ignoreInitial: true,
    ignored: (path, stats) =>
      files.isPruned(path) || (stats?.isFile() === true ? !files.isWatched(path) : isLinkToAncestor(path)),
  })
  const onChange = (path: string) => {
    if (files.isWatched(path)) changes.add(displayPath(path, folder))
  }
  watcher.on('add', onChange).on('change', onChange).on('unlink', onChange)
  watcher.once('ready', () => listener.onReady())
  reportProblems(watcher, listener)
  signal.addEventListener('abort', () => {
    changes.clear()
    void watcher.close()
  })
}

function existingFolder(folder: string): string {
  let found = folder
  while (!existsSync(found) && found !== dirname(found)) found = dirname(found)
  return found
}

/** Returns whether the path is a symbolic link to a folder that contains it, which would be scanned without end. */
function isLinkToAncestor(path: string): boolean {
  try {
    if (!lstatSync(path).isSymbolicLink()) return false
    const target = `${realpathSync(path)}${sep}`
    let ancestor = path
    while (ancestor !== dirname(ancestor)) {
      ancestor = dirname(ancestor)
      if (`${realpathSync(ancestor)}${sep}`.startsWith(target)) return true
    }
    return false
  } catch {
    // The path does not exist, or no longer.
    return false
  }
}

function reportProblems(watcher: FSWatcher, listener: WatchListener): void {
  const reported = new Set<string>()
  watcher.on('error', (error) => {
    const code = codeOf(error) ?? messageOf(error)
    if (reported.has(code)) return
    reported.add(code)
    listener.onProblem(describeWatchError(error))
  })
}

/** Returns the reason why files cannot be watched, and the remedy. */
export function describeWatchError(error: unknown): string {
  const fewer = 'or watch fewer files with "paths" and "ignore"'
  const code = codeOf(error)
  if (code === 'ENOSPC') {
    return `the system's limit of file watches is reached (ENOSPC), so some changes are not seen; raise it with "sudo sysctl fs.inotify.max_user_watches=524288", ${fewer}`
  }
  if (code === 'EMFILE') {
    return `the limit of open files or of inotify instances is reached (EMFILE), so some changes are not seen; raise it with "ulimit -n" or "sudo sysctl fs.inotify.max_user_instances=1024", ${fewer}`
  }
  return messageOf(error)
}

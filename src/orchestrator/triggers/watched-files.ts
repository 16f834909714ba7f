import { dirname, relative, resolve, sep } from 'node:path'
import createIgnore, { type Ignore } from 'ignore'
import type { ResolvedWatch } from '../config/resolved.ts'

/** Folders that are ignored below every watched path, unless the path itself leads into them. */
const ALWAYS_IGNORED = ['node_modules', '.git']

/** A watched path, split before the first part with a wildcard. */
interface Root {
  /** Absolute path without wildcards. */
  readonly base: string
  /** Accepts paths relative to `base`; null accepts all of them. */
  readonly glob: Ignore | null
}

/** Decides which changes restart a process, and which folders need a watcher. */
export interface WatchedFiles {
  /** The folders to scan; a missing folder is replaced by its nearest ancestor that exists. */
  readonly folders: readonly string[]
  /** Returns whether a change of the file restarts the process. */
  isWatched(path: string): boolean
  /** Returns whether neither the path nor a path below it is watched. */
  isPruned(path: string): boolean
}

/**
 * Returns the files of a watch. `ownFiles` are files that the orchestrator writes; they and their rotated versions `path.N` are
 * ignored.
 */
export function watchedFiles(watch: ResolvedWatch, ownFiles: readonly string[]): WatchedFiles {
  const { folder } = watch
  const roots = watch.paths.map((path) => rootOf(path, folder))
  const rules = rulesOf(watch.ignore)
  const always = rulesOf(ALWAYS_IGNORED)
  const isIgnored = ({ base }: Root, path: string) => {
    const below = inside(base, path)
    if (below === null || below === '') return false
    // Rules cannot refer to paths outside their folder; there they refer to the watched path.
    return always.ignores(below) || rules.ignores((inside(folder, path) ?? '') || below)
  }
  const accepts = (root: Root, path: string) => {
    const below = inside(root.base, path)
    if (below === null || isIgnored(root, path)) return false
    return root.glob === null || (below !== '' && root.glob.ignores(below))
  }
  const isOwn = (path: string) =>
    ownFiles.some((own) => path === own || (path.startsWith(own) && /^\.\d+$/.test(path.slice(own.length))))
  const mayContain = (root: Root, path: string) =>
    inside(path, root.base) !== null || (inside(root.base, path) !== null && !isIgnored(root, path))
  return {
    folders: [...new Set(roots.map(({ base }) => scannedFolder(base, folder)))],
    isWatched: (path) => !isOwn(path) && roots.some((root) => accepts(root, path)),
    isPruned: (path) => isOwn(path) || !roots.some((root) => mayContain(root, path)),
  }
}

function rulesOf(rules: readonly string[]): Ignore {
  return createIgnore({ ignorecase: false }).add([...rules])
}

function rootOf(path: string, folder: string): Root {
  const parts = path.split('/')
  const wild = parts.findIndex((part) => /[*?[]/.test(part))
  if (wild === -1) return { base: resolve(folder, path), glob: null }
  // Without a leading slash, a rule without a slash would accept files at any depth.
  const glob = rulesOf([`/${parts.slice(wild).join('/')}`])
  return { base: resolve(folder, parts.slice(0, wild).join('/') || (path.startsWith('/') ? '/' : '.')), glob }
}

/** Returns `path` relative to `folder`; an empty string for the folder itself, null outside it. */
function inside(folder: string, path: string): string | null {
  const below = relative(folder, path)
  return below === '..' || below.startsWith(`..${sep}`) ? null : below
}

/**
 * Returns the folder from which to scan for a watched path. It can be above the path, so that the path can be removed and
 * created again: it is the folder of the configuration, or its nearest ancestor that contains the path.
 */
function scannedFolder(base: string, folder: string): string {
  let above = folder
  while (above !== dirname(above) && inside(above, base) === null) above = dirname(above)
  // Nothing but the root is common: scan the folder of the path.
  return above === dirname(above) ? dirname(base) : above
}

/** Returns a path as users write it: relative to the folder, if it is inside. */
export function displayPath(path: string, folder: string): string {
  return inside(folder, path) ?? path
}

/** Returns a text such as `src/app.js has changed` or `src/app.js and 2 other files have changed`. */
export function describeChanges(paths: readonly string[]): string {
  const [first = '', ...others] = paths
  if (others.length === 0) return `${first} has changed`
  return `${first} and ${others.length === 1 ? '1 other file' : `${others.length} other files`} have changed`
}

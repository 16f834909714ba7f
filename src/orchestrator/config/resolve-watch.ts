import type { ResolvedWatch } from './resolved.ts'
import type { WatchFile } from './schema/automation.ts'

export interface WatchContext {
  /** The folder to which the paths refer. */
  readonly folder: string
  /** The working directory of the process. */
  readonly cwd: string
  /** `all` if the command line makes the process watch even without the key, `none` if no process watches. */
  readonly requested: 'all' | 'none' | 'file'
}

/** Returns the files whose changes restart a process; null if it does not watch. */
export function resolveWatch(file: WatchFile, { folder, cwd, requested }: WatchContext): ResolvedWatch | null {
  if (requested === 'none' || (file === false && requested === 'file')) return null
  const { paths = [cwd], ignore = [], debounce_ms = 200 } = typeof file === 'object' ? file : {}
  return { folder, paths, ignore, debounceMs: debounce_ms }
}

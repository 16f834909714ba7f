import type { ResolvedWatch } from '../resolved.ts'
import type { WatchFile } from '../schema/automation.ts'

export interface WatchContext {
  /** The folder to which the paths refer. */
  readonly folder: string
  /** The working directory of the process. */
  readonly cwd: string
  /** `all` if the command line makes the process watch even without the key, `none` if no process watches. */
  readonly requested: 'all' | 'none' | 'file'
  /** Replaces the variables of a path. */
  readonly interpolate: (text: string, index: number) => string
}

/** Returns the files whose changes restart a process; null if it does not watch. */
export function resolveWatch(file: WatchFile, context: WatchContext): ResolvedWatch | null {
  const { folder, cwd, requested, interpolate } = context
  if (requested === 'none' || (file === false && requested === 'file')) return null
  const { paths, ignore = [], debounce_ms = 200 } = typeof file === 'object' ? file : {}
  return { folder, paths: paths?.map(interpolate) ?? [cwd], ignore, debounceMs: debounce_ms }
}

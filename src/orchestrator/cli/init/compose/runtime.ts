import { join } from 'node:path'
import type { Watch } from '../draft.ts'
import type { Develop } from './schema.ts'

/** Converts a size such as `512m`, whose units are powers of 1024; null if it is not a size. */
export function memoryLimit(size: string | number): string | number | null {
  const [, number, unit = ''] = /^(\d+(?:\.\d{1,3})?) ?(?:b|([kmg])b?)?$/i.exec(String(size)) ?? []
  if (number === undefined || Number(number) === 0) return null
  return unit === '' ? Math.ceil(Number(number)) : `${number}${unit.toUpperCase()}iB`
}

interface WatchDraft {
  /** Null if no change restarts the service. */
  readonly watch: Watch | null
  readonly notes: readonly string[]
}

/** Translates `develop.watch`. A process reads the files of the project directly, so `sync` alone needs no restart. */
export function watchOf({ watch: rules = [] }: Develop): WatchDraft {
  const synced = rules.filter(({ action }) => action === 'sync')
  const restarting = rules.filter(({ action }) => action !== 'sync')
  const notes = synced.map(({ path }) => `develop.watch of ${path} left out: "sync" restarts nothing`)
  if (restarting.length === 0) return { watch: null, notes }
  const paths = restarting.map(({ path }) => path)
  const ignore = restarting.flatMap((rule) => (rule.ignore ?? []).map((pattern) => ignoreBelow(rule.path, pattern)))
  return { watch: { paths, ...(ignore.length === 0 ? {} : { ignore }) }, notes }
}

/** Makes a pattern relative to the file. As in .gitignore, a name without a slash applies to every folder. */
function ignoreBelow(path: string, pattern: string): string {
  return /\/./.test(pattern) ? `/${join(path, pattern)}` : pattern
}

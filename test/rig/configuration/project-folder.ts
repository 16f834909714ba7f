import { parseEnv } from 'node:util'
import type { ProjectFolder } from '../../../src/orchestrator/cli/init/draft.ts'

/** Returns a folder `shop` with these files, by path. */
export function projectFolder(files: Readonly<Record<string, string>>): ProjectFolder {
  return {
    name: 'shop',
    has: (path) => path in files,
    read: (path) => files[path] ?? '',
    readEnv: (path) => {
      if (!(path in files)) return null
      const values = Object.entries(parseEnv(files[path] ?? ''))
      return Object.fromEntries(values.map(([name, value]) => [name, value ?? '']))
    },
  }
}

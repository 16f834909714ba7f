import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of this package's package.json, found from this code upwards: it runs from src/ as well as bundled in dist/. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    if (manifestIn(folder)?.name === 'ponix-orchestrator') return folder
    const parent = dirname(folder)
    if (parent === folder) throw new Error('the package.json of ponix-orchestrator is missing; install it again')
    folder = parent
  }
}

/** The version of this package. */
export function packageVersion(): string {
  return manifestIn(packageRoot())?.version ?? 'unknown'
}

function manifestIn(folder: string): { name?: string; version?: string } | null {
  const path = join(folder, 'package.json')
  if (!existsSync(path)) return null
  const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'))
  if (typeof manifest !== 'object' || manifest === null) return null
  const { name, version } = { name: undefined, version: undefined, ...manifest }
  return { ...(typeof name === 'string' && { name }), ...(typeof version === 'string' && { version }) }
}

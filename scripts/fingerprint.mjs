// Detects cheaply whether dist/ was built from the current sources: by path, size and time, not by content.
import { createHash } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const inputs = [
  'src',
  'services',
  'scripts/build.mjs',
  'scripts/lock.mjs',
  'scripts/notices.mjs',
  'scripts/programs.mjs',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
]

/** Returns a digest of everything that a build of the clone at `root` depends on. */
export function fingerprint(root) {
  const hash = createHash('sha256')
  for (const path of inputs) add(hash, root, path)
  return hash.digest('hex')
}

function add(hash, root, path) {
  const stat = statSync(join(root, path), { throwIfNoEntry: false })
  if (stat === undefined || path.endsWith('.test.ts')) return
  if (!stat.isDirectory()) {
    hash.update(`${path} ${stat.size} ${stat.mtimeMs}\n`)
    return
  }
  for (const name of readdirSync(join(root, path)).sort()) add(hash, root, `${path}/${name}`)
}

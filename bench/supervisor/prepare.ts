import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bare, ours } from './contender.ts'
import { Field } from './field.ts'
import { installPeers } from './install-peers.ts'

/** Gets everyone ready: the peers installed, ours as it is installed from the registry, without its sources. */
export function prepare(root: string, rounds: number): Field {
  const home = join(root, '.ponix/bench')
  mkdirSync(home, { recursive: true })
  const scratch = mkdtempSync(join(home, 'supervisor-'))
  process.once('exit', () => rmSync(scratch, { recursive: true, force: true, maxRetries: 5 }))
  const packageFolder = join(scratch, 'package')
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(join(root, part), join(packageFolder, part), { recursive: true })
  return new Field({
    ours: ours(packageFolder),
    bare: bare(join(home, 'programs')),
    peers: installPeers(join(home, 'peers')),
    scratch,
    rounds,
    packageFolder,
  })
}

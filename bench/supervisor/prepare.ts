import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bare, ours } from './contender.ts'
import { Field } from './field.ts'
import { installPeers, NO_PEERS } from './install-peers.ts'

/** Gets everyone ready: the peers installed, ours as it is installed from the registry, without its sources. */
export function prepare(
  root: string,
  { rounds, withPeers }: { readonly rounds: number; readonly withPeers: boolean },
): Field {
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
    peers: withPeers ? installPeers(join(home, 'peers')) : NO_PEERS,
    scratch,
    rounds,
    packageFolder,
  })
}

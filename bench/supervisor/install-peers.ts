import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { concurrently, type Contender, pm2, processCompose } from './contender.ts'

/** The newest that run on the oldest Node that we support. */
const PACKAGES = [
  { name: 'concurrently', version: '9.2.5', make: concurrently },
  { name: 'pm2', version: '7.0.4', make: pm2 },
] as const

export interface Peers {
  readonly present: readonly Contender[]
  /** Name → why it is not there. */
  readonly missing: ReadonlyMap<string, string>
}

/** For a look at ourselves and the bare program only. */
export const NO_PEERS: Peers = { present: [], missing: new Map() }

/** Brings the peers into a private folder, each with its pinned version. One that cannot be had is left out. */
export function installPeers(folder: string): Peers {
  const present: Contender[] = []
  const missing = new Map<string, string>()
  for (const { name, version, make } of PACKAGES) {
    const home = join(folder, `${name}-${version}`)
    const path = join(home, 'node_modules', name)
    const problem = existsSync(join(home, 'complete')) ? null : install(home, `${name}@${version}`)
    if (problem === null) present.push(make(path))
    else missing.set(name, problem)
  }
  const compose = processCompose()
  if (compose === null) missing.set('process-compose', 'not installed')
  else present.push(compose)
  return { present, missing }
}

/** Null, or why it failed. Install scripts do not run: neither peer needs one. */
function install(home: string, spec: string): string | null {
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, 'package.json'), '{"private": true}\n')
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  console.error(`bench: installing ${spec}`)
  const { status, stderr, error } = spawnSync('npm', ['install', '--prefix', home, ...flags, spec], {
    cwd: home,
    encoding: 'utf8',
  })
  if (status !== 0) return error?.message ?? stderr.trim().split('\n')[0] ?? `npm ended with ${status}`
  writeFileSync(join(home, 'complete'), '')
  return null
}

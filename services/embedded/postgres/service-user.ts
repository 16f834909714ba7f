import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ServerError } from '../../../src/domain/errors.ts'
import { runCommand } from '../run-command.ts'

/** Whom PostgreSQL runs as when the caller is root, which it refuses. */
export interface ServiceUser {
  readonly uid: number
  readonly gid: number
}

/** Where root keeps what an unprivileged user has to reach and cannot reach where it would belong. */
const REACHABLE = '/var/lib/ponix'

/** The owner of the cluster if there is one, else `postgres`, else `nobody`; undefined if the caller is not root. */
export async function findServiceUser(cluster: string): Promise<ServiceUser | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const owner = await stat(cluster).catch(() => undefined)
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = await Promise.all([runCommand('id', ['-u', name]), runCommand('id', ['-g', name])])
    if (uid.code === 0 && gid.code === 0) return { uid: Number(uid.output), gid: Number(gid.output) }
  }
  throw new ServerError(
    'PostgreSQL refuses to run as root, and there is no user postgres or nobody: add one, or do not run as root',
  )
}

/** The folder that PostgreSQL's data is really in for `--data`: another one if the service user could not get there. */
export async function dataHome(dataDir: string): Promise<string> {
  const user = await findServiceUser(join(dataDir, 'data'))
  if (await canReach(dirname(dataDir), user)) return dataDir
  const hash = createHash('sha256').update(dirname(dataDir)).digest('hex').slice(0, 12)
  return join(REACHABLE, hash, basename(dataDir))
}

/** The folder for programs: `base`, unless the service user could not get there. */
export async function programHome(base: string, user: ServiceUser | undefined): Promise<string> {
  return (await canReach(base, user)) ? base : join(REACHABLE, 'servers')
}

/** Whether the user may enter the folder, or the nearest one above it that exists. */
async function canReach(folder: string, user: ServiceUser | undefined): Promise<boolean> {
  if (user === undefined) return true
  let existing = folder
  while (!existsSync(existing)) existing = dirname(existing)
  return (await runCommand('/bin/sh', ['-c', 'cd "$1"', 'sh', existing], { ...user, cwd: '/' })).code === 0
}

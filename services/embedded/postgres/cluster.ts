import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chown, mkdir, rename, rm, writeFile, readdir, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ServerError } from '../../../src/domain/errors.ts'
import { lastLines, runCommand } from '../run-command.ts'
import type { ServerOptions } from '../server.ts'
import type { ServiceUser } from './installation.ts'

type ClusterOptions = Pick<ServerOptions, 'provisionDir' | 'username' | 'password' | 'database'>

/**
 * Makes the cluster in `home/data` if there is none, with the role (may log in, replicate and create databases) and its
 * database. It takes its place when it is complete: an interrupted one is made anew.
 */
export async function ensureCluster(
  home: string,
  options: ClusterOptions,
  user: ServiceUser | undefined,
): Promise<void> {
  await mkdir(home, { recursive: true })
  if (user !== undefined) await chown(home, user.uid, user.gid)
  if (existsSync(join(home, 'data', 'PG_VERSION'))) return
  const draft = join(home, 'data.unfinished')
  await rm(draft, { recursive: true, force: true })
  await initialize(home, draft, options, user)
  await createDatabase(draft, options, user)
  await rename(draft, join(home, 'data'))
}

async function initialize(
  home: string,
  draft: string,
  { provisionDir }: ClusterOptions,
  user: ServiceUser | undefined,
): Promise<void> {
  const passwordFile = join(home, 'superuser-password')
  await writeFile(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 })
  if (user !== undefined) await chown(passwordFile, user.uid, user.gid)
  const flags = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--no-locale', '--data-checksums']
  const args = [`--pgdata=${draft}`, `--pwfile=${passwordFile}`, ...flags]
  const { code, output } = await runCommand(join(provisionDir, 'initdb'), args, { ...user, cwd: home })
  if (code !== 0) throw new ServerError(`PostgreSQL's initdb failed in ${home}: ${lastLines(output, 3)}`)
}

/** In single-user mode: no server has to run, and no driver is needed. */
async function createDatabase(draft: string, options: ClusterOptions, user: ServiceUser | undefined): Promise<void> {
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
    throw new ServerError(`PostgreSQL's first database could not be made: ${lastLines(output, 3)}`)
  }
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

const PATIENCE_MS = 20_000

/**
 * After the server itself was killed: waits for its other processes, which notice that and go by themselves, and removes a
 * `postmaster.pid` whose process is gone. PostgreSQL would take it for alive while it is a zombie that its parent has not
 * collected, or when its number was given to another process. Needs /proc; PostgreSQL's own checks remain elsewhere.
 */
export async function clearLeftovers(cluster: string): Promise<void> {
  if (!existsSync('/proc/self/cwd') || !existsSync(join(cluster, 'postmaster.pid'))) return
  const deadline = performance.now() + PATIENCE_MS
  const folder = await realpath(cluster)
  for (let left = await processesIn(folder); left.length > 0; left = await processesIn(folder)) {
    if (performance.now() > deadline) {
      throw new ServerError(`processes ${left.join(', ')} still use PostgreSQL's data in ${cluster}: stop them first`)
    }
    await sleep(20)
  }
  await rm(join(cluster, 'postmaster.pid'), { force: true })
}

/** PostgreSQL's processes work in its data folder. */
async function processesIn(folder: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const folders = await Promise.all(pids.map(workingFolder))
  return pids.filter((_, index) => folders[index] === folder)
}

/** Undefined for a process that is gone, a zombie, or somebody else's. */
function workingFolder(pid: string): Promise<string | undefined> {
  return readlink(`/proc/${pid}/cwd`).catch(() => undefined)
}

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError, messageOf } from '../../../src/domain/errors.ts'
import type { Provisioning } from '../provision.ts'
import { runCommand } from '../run-command.ts'
import { runServerProcess } from '../server-process.ts'
import { assertPortFree, type ServerOptions } from '../server.ts'
import { identifier } from './execution.ts'

/** The oldest release whose type JSON is complete. */
const OLDEST = [25, 3] as const
const STOP_TIMEOUT_MS = 30_000

/** A server program: `clickhouse server`, or `clickhouse-server`. */
interface ServerProgram {
  readonly command: string
  readonly args: readonly string[]
}

/** Returns the server program in a folder. */
export function serverIn(folder: string): ServerProgram | undefined {
  const [clickhouse, server] = [join(folder, 'clickhouse'), join(folder, 'clickhouse-server')]
  if (existsSync(clickhouse)) return { command: clickhouse, args: ['server'] }
  return existsSync(server) ? { command: server, args: [] } : undefined
}

/** Returns the first folder on PATH with a server program that is new enough. */
export async function findServer({ logger, signal }: Provisioning): Promise<string | undefined> {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  for (const folder of folders.map((name) => resolve(name))) {
    const program = serverIn(folder)
    const version = program === undefined ? undefined : await versionOf(program, signal)
    signal.throwIfAborted()
    if (program === undefined || version === undefined) continue
    if (version[0] > OLDEST[0] || (version[0] === OLDEST[0] && version[1] >= OLDEST[1])) return folder
    logger.info(`${program.command} ${version.join('.')} is older than ${OLDEST.join('.')} and is not used`)
  }
  return undefined
}

/** Returns the major and minor version; undefined if the program does not run. */
async function versionOf(
  { command, args }: ServerProgram,
  signal: AbortSignal,
): Promise<readonly [major: number, minor: number] | undefined> {
  const { code, output } = await runCommand(command, [...args, '--version'], { signal })
  const found = /version (\d+)\.(\d+)\./.exec(output)
  return code === 0 && found !== null ? [Number(found[1]), Number(found[2])] : undefined
}

/** Runs a server program on its data in `path` until the signal aborts. Throws a StartupError if it ends early. */
export async function runServer(
  options: ServerOptions,
  program: ServerProgram,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const { dataDir, port, logger } = options
  await assertPortFree(port, 'ClickHouse', 'PONIX_CLICKHOUSE_PORT')
  await mkdir(path, { recursive: true })
  const users = join(dataDir, 'clickhouse-users.xml')
  const config = join(dataDir, 'clickhouse-server.xml')
  await writeFile(users, usersXml(options))
  await writeFile(config, serverXml(port, path, users))
  let failure = 'no reason given'
  const command = {
    command: program.command,
    args: [...program.args, `--config-file=${config}`],
    dataDir,
    // The watchdog would be a parent process that the server outlives.
    env: { CLICKHOUSE_WATCHDOG_ENABLE: '0' },
    stopSignal: 'SIGTERM',
    stopTimeoutMs: STOP_TIMEOUT_MS,
    onLine(line: string) {
      if (/<(Error|Critical|Fatal)>|Exception/.test(line)) failure = line
      logger.debug(line)
    },
  } as const
  const ended = new AbortController()
  const stopped = AbortSignal.any([ended.signal, signal])
  const starting = becomeReady(options, stopped).catch((error: unknown) => {
    if (!stopped.aborted) failure = messageOf(error)
    ended.abort()
  })
  const end = await runServerProcess(command, stopped)
  ended.abort()
  await starting
  if (!signal.aborted) throw new StartupError(`ClickHouse ended (${end}): ${failure}`)
}

const RETRY_MS = 50

/** Creates the database as soon as the server answers, and reports readiness. */
async function becomeReady(options: ServerOptions, signal: AbortSignal): Promise<void> {
  const address = `http://127.0.0.1:${options.port}`
  while (!(await answers(address, signal))) await sleep(RETRY_MS, undefined, { signal })
  await createDatabase(address, options, signal)
  options.ready()
}

function answers(address: string, signal: AbortSignal): Promise<boolean> {
  return fetch(`${address}/ping`, { signal }).then(
    ({ ok }) => ok,
    () => false,
  )
}

async function createDatabase(
  address: string,
  { database, username, password }: ServerOptions,
  signal: AbortSignal,
): Promise<void> {
  const answer = await fetch(address, {
    method: 'POST',
    body: `CREATE DATABASE IF NOT EXISTS ${identifier(database)}`,
    headers: { 'X-ClickHouse-User': username, 'X-ClickHouse-Key': password },
    signal,
  })
  if (!answer.ok) throw new StartupError(`the server did not create the database: ${await answer.text()}`)
}

/** Without a `tcp_port`, the server has the HTTP interface only. */
function serverXml(port: number, path: string, users: string): string {
  return `<clickhouse>
  <logger><level>information</level><console>true</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>${port}</http_port>
  <path>${xml(path)}/</path>
  <tmp_path>${xml(join(path, 'tmp'))}/</tmp_path>
  <user_files_path>${xml(join(path, 'user_files'))}/</user_files_path>
  <format_schema_path>${xml(join(path, 'format_schemas'))}/</format_schema_path>
  <user_directories><users_xml><path>${xml(users)}</path></users_xml></user_directories>
</clickhouse>
`
}

function usersXml({ username, password }: ServerOptions): string {
  const hash = createHash('sha256').update(password).digest('hex')
  return `<clickhouse>
  <profiles><default></default></profiles>
  <quotas><default></default></quotas>
  <users>
    <${username}>
      <password_sha256_hex>${hash}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </${username}>
  </users>
</clickhouse>
`
}

function xml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

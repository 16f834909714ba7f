import { once } from 'node:events'
import { mkdir, writeFile, chmod, copyFile, readdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join, delimiter } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError, messageOf } from '../../src/domain/errors.ts'
import { provision, type Provisioning } from './provision.ts'
import { runCommand, lastLines } from './run-command.ts'
import { runServerProcess, stopOrphan } from './server-process.ts'
import { assertPortFree, type RunServer, type ServerOptions } from './server.ts'

/** nats-server with JetStream on files. */
export const runNats: RunServer = async (options, signal) => {
  const { dataDir, port, monitoringPort, logger } = options
  await stopOrphan(dataDir, 'SIGINT')
  await assertPortFree(port, 'NATS', 'PONIX_NATS_PORT')
  if (monitoringPort !== undefined) {
    await assertPortFree(monitoringPort, "NATS' monitoring", 'PONIX_NATS_MONITORING_PORT', '--monitoring-port')
  }
  const config = join(dataDir, 'nats-server.conf')
  await mkdir(join(dataDir, 'jetstream'), { recursive: true })
  await writeFile(config, await configuration(options))
  let failure = 'no reason given'
  const command = {
    command: join(options.provisionDir, 'nats-server'),
    args: ['--config', config],
    dataDir,
    stopSignal: 'SIGINT',
    stopTimeoutMs: 20_000,
    onLine(line: string) {
      const routine = line.includes('[INF]')
      if (!routine) failure = line
      logger[routine ? 'debug' : 'warn'](line)
    },
  } as const
  const ended = new AbortController()
  void answers(port, ended.signal).then((answered) => answered && options.ready())
  const end = await runServerProcess(command, signal)
  ended.abort()
  if (!signal.aborted) throw new StartupError(`NATS ended (${end}): ${failure}`)
}

async function configuration(options: ServerOptions): Promise<string> {
  const { dataDir, port, monitoringPort, provisionDir } = options
  const [major, minor] = (await natsVersion(provisionDir)) ?? [0, 0]
  // Before 2.10 the interval is fixed to two minutes; a power failure can lose this data, a killed process cannot.
  const canSync = major > 2 || (major === 2 && minor >= 10)
  return [
    'server_name: ponix',
    `listen: "127.0.0.1:${port}"`,
    ...(monitoringPort === undefined ? [] : [`http: "127.0.0.1:${monitoringPort}"`]),
    'jetstream {',
    `  store_dir: ${JSON.stringify(join(dataDir, 'jetstream'))}`,
    // The disk is the limit; each stream has a separate limit.
    '  max_memory_store: 256MB',
    '  max_file_store: 1TB',
    ...(canSync ? ['  sync_interval: always'] : []),
    '}',
    '',
  ].join('\n')
}

/** Resolves to true when the greeting reports JetStream; the server listens after it has recovered its streams. */
async function answers(port: number, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    const socket = connect(port, '127.0.0.1').setEncoding('utf8')
    try {
      const [greeting]: unknown[] = await once(socket, 'data', { signal: AbortSignal.timeout(2000) })
      if (String(greeting).includes('"jetstream":true')) return true
    } catch {
      // It does not listen yet.
    } finally {
      socket.destroy()
    }
    await sleep(50)
  }
  return false
}

const OLDEST = [2, 9] as const

/** Returns the folder of `nats-server` (≥ 2.9): on PATH, or extracted from the package of Debian or Ubuntu. */
export async function provideNats(provisioning: Provisioning): Promise<string> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (isRecent(await natsVersion(folder))) return folder
  }
  try {
    return await provision(provisioning, 'nats-server-apt', async (draft) => {
      await extractFromPackage(draft, provisioning.signal)
      const version = await natsVersion(draft)
      if (!isRecent(version)) throw new StartupError(`the system's package has nats-server ${version?.join('.')}`)
    })
  } catch (error) {
    provisioning.signal.throwIfAborted()
    const remedy =
      process.platform === 'darwin'
        ? 'install it with `brew install nats-server`'
        : 'install it from https://github.com/nats-io/nats-server/releases, or give apt access to its servers'
    const message = `there is no nats-server ${OLDEST.join('.')} or newer on PATH: ${remedy} (${messageOf(error)})`
    throw new StartupError(message, { cause: error })
  }
}

/** Returns the major and minor version of the program in a folder; undefined if it is missing or does not run. */
async function natsVersion(folder: string): Promise<readonly [number, number] | undefined> {
  const { code, output } = await runCommand(join(folder, 'nats-server'), ['--version'])
  const found = /v(\d+)\.(\d+)\./.exec(output)
  return code === 0 && found !== null ? [Number(found[1]), Number(found[2])] : undefined
}

function isRecent(version: readonly [number, number] | undefined): boolean {
  if (version === undefined) return false
  return version[0] > OLDEST[0] || (version[0] === OLDEST[0] && version[1] >= OLDEST[1])
}

/**
 * Downloads the Debian or Ubuntu package and extracts its program into `folder` without installing the package. apt uses a
 * separate state folder, so it needs neither root nor package lists.
 */
async function extractFromPackage(folder: string, signal: AbortSignal): Promise<void> {
  const scratch = join(folder, 'apt')
  for (const part of ['state/lists/partial', 'cache/archives/partial', 'out']) {
    await mkdir(join(scratch, part), { recursive: true })
  }
  const apt = [
    `Dir::State=${scratch}/state`,
    'Dir::State::status=/var/lib/dpkg/status',
    `Dir::Cache=${scratch}/cache`,
    'APT::Sandbox::User=',
    'Debug::NoLocking=1',
  ].flatMap((setting) => ['-o', setting])
  if ((await runCommand('apt-get', ['--version'])).code === null) throw new StartupError('apt-get is not installed')
  const update = await runCommand('apt-get', [...apt, '-qq', 'update'], { cwd: scratch, signal })
  const download = await runCommand('apt-get', [...apt, '-qq', 'download', 'nats-server'], { cwd: scratch, signal })
  signal.throwIfAborted()
  const archive = (await readdir(scratch)).find((name) => name.endsWith('.deb'))
  if (download.code !== 0 || archive === undefined) {
    throw new StartupError(`apt-get download nats-server: ${lastLines(`${download.output}\n${update.output}`, 2)}`)
  }
  const unpack = await runCommand('dpkg-deb', ['--extract', join(scratch, archive), join(scratch, 'out')])
  if (unpack.code !== 0) throw new StartupError(`dpkg-deb: ${lastLines(unpack.output, 1)}`)
  await copyFile(join(scratch, 'out/usr/sbin/nats-server'), join(folder, 'nats-server'))
  await chmod(join(folder, 'nats-server'), 0o755)
  await rm(scratch, { recursive: true })
}

import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { StartupError, messageOf } from '../../src/domain/errors.ts'
import { OLDEST_NATS_SERVER, isSupportedNatsServer } from '../../src/nats/server-version.ts'
import { provision, type Provisioning } from './provision.ts'
import { lastLines, runCommand } from './run-command.ts'

/** Debian's suites to try, in this order, if the system's own package is too old: their programs need only libc ≥ 2.34. */
const NEWER_SUITES = ['stable', 'unstable'] as const
const DEBIAN = 'http://deb.debian.org/debian'
const DEBIAN_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
/** The installation of earlier versions of Ponix, which can contain nats-server 2.9. */
const EARLIER_FOLDER = 'nats-server-apt'

/** Returns the folder of a supported `nats-server`: on PATH, or extracted from a package of Debian or Ubuntu. */
export async function provideNats(provisioning: Provisioning): Promise<string> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (isSupportedNatsServer(await natsVersion(folder))) return folder
  }
  try {
    const folder = await provision(provisioning, `nats-server-at-least-${OLDEST_NATS_SERVER}`, (draft) =>
      extractNewEnough(draft, provisioning.signal),
    )
    await rm(join(provisioning.base, EARLIER_FOLDER), { recursive: true, force: true })
    return folder
  } catch (error) {
    provisioning.signal.throwIfAborted()
    const remedy =
      process.platform === 'darwin'
        ? 'install it with `brew install nats-server`'
        : 'install it from https://github.com/nats-io/nats-server/releases, or give apt access to its servers'
    const message = `there is no nats-server ${OLDEST_NATS_SERVER} or newer on PATH: ${remedy} (${messageOf(error)})`
    throw new StartupError(message, { cause: error })
  }
}

/** Returns the version of the program in a folder; an empty text if it is missing or does not run. */
async function natsVersion(folder: string): Promise<string> {
  const { code, output } = await runCommand(join(folder, 'nats-server'), ['--version'])
  return (code === 0 ? /v(\d+\.\d+\.\S+)/.exec(output)?.[1] : undefined) ?? ''
}

/** Extracts the program into `folder` from the first package that is new enough. */
async function extractNewEnough(folder: string, signal: AbortSignal): Promise<void> {
  if ((await runCommand('apt-get', ['--version'])).code === null) throw new StartupError('apt-get is not installed')
  const reasons: string[] = []
  for await (const source of packageSources(folder, signal)) {
    const reason = await tryPackage(source, folder)
    await source.remove()
    if (reason === undefined) return
    reasons.push(reason)
  }
  throw new StartupError(reasons.join('; '))
}

/** Yields the system's own sources, then the newer suites on each mirror of Debian. */
async function* packageSources(folder: string, signal: AbortSignal): AsyncGenerator<PackageSource> {
  const system = await PackageSource.create(folder, "the system's package", signal)
  yield system
  for (const mirror of system.mirrors) {
    for (const suite of NEWER_SUITES) {
      yield await PackageSource.create(folder, `Debian ${suite}`, signal, `${mirror} ${suite} main`)
    }
  }
}

/** Extracts the program of a package; returns why it cannot be used. */
async function tryPackage(source: PackageSource, folder: string): Promise<string | undefined> {
  try {
    await copyFile(await source.extract(), join(folder, 'nats-server'))
    await chmod(join(folder, 'nats-server'), 0o755)
  } catch (error) {
    return `${source.name}: ${messageOf(error)}`
  }
  const version = await natsVersion(folder)
  if (isSupportedNatsServer(version)) return undefined
  return `${source.name}: the package has nats-server ${version || 'that does not run here'}`
}

/** Packages of one suite. apt uses a separate state folder, so it needs neither root nor package lists, and changes nothing. */
class PackageSource {
  readonly name: string
  readonly #scratch: string
  readonly #settings: readonly string[]
  readonly #signal: AbortSignal
  /** The mirrors of Debian in these sources, known after `extract`, and Debian's own. */
  mirrors: readonly string[] = [DEBIAN]

  private constructor(name: string, scratch: string, settings: readonly string[], signal: AbortSignal) {
    this.name = name
    this.#scratch = scratch
    this.#settings = settings
    this.#signal = signal
  }

  /** `repository` is an entry of a sources.list without its type; without it, the system's sources apply. */
  static async create(folder: string, name: string, signal: AbortSignal, repository?: string): Promise<PackageSource> {
    const scratch = await mkdtemp(join(folder, 'apt-'))
    for (const part of ['state/lists/partial', 'cache/archives/partial', 'out']) {
      await mkdir(join(scratch, part), { recursive: true })
    }
    const settings = [
      `Dir::State=${scratch}/state`,
      'Dir::State::status=/var/lib/dpkg/status',
      `Dir::Cache=${scratch}/cache`,
      'APT::Sandbox::User=',
      'Debug::NoLocking=1',
    ]
    if (repository !== undefined) {
      // Without Debian's keyring, apt checks the signature with the keys that the system trusts.
      const options = existsSync(DEBIAN_KEYRING) ? `[signed-by=${DEBIAN_KEYRING}] ` : ''
      await writeFile(join(scratch, 'sources.list'), `deb ${options}${repository}\n`)
      settings.push(`Dir::Etc::sourcelist=${scratch}/sources.list`, 'Dir::Etc::sourceparts=-')
      settings.push('Acquire::AllowInsecureRepositories=false', 'APT::Get::AllowUnauthenticated=false')
    }
    return new PackageSource(name, scratch, settings, signal)
  }

  /** Returns the path of the program of the package nats-server. Throws a StartupError with apt's reason. */
  async extract(): Promise<string> {
    const update = await this.#apt('update')
    this.mirrors = await this.#listMirrors()
    const download = await this.#apt('download', 'nats-server')
    const archive = (await readdir(this.#scratch)).find((entry) => entry.endsWith('.deb'))
    if (download.code !== 0 || archive === undefined) {
      const output = `${update.output}\n${download.output}`
      const remedy = /NO_PUBKEY|not signed/.test(output) ? ' (install the package debian-archive-keyring)' : ''
      throw new StartupError(`apt-get download nats-server: ${lastLines(output, 2)}${remedy}`)
    }
    const out = join(this.#scratch, 'out')
    const unpack = await runCommand('dpkg-deb', ['--extract', join(this.#scratch, archive), out])
    if (unpack.code !== 0) throw new StartupError(`dpkg-deb: ${lastLines(unpack.output, 1)}`)
    return join(out, 'usr/sbin/nats-server')
  }

  /** Deletes the state folder. */
  async remove(): Promise<void> {
    await rm(this.#scratch, { recursive: true })
  }

  async #listMirrors(): Promise<readonly string[]> {
    const format = '$(CREATED_BY) $(LABEL) $(COMPONENT) $(REPO_URI)'
    const { output } = await this.#apt('indextargets', '--format', format)
    const found = [...output.matchAll(/^Packages Debian main (\S+)$/gm)].map(([, mirror = DEBIAN]) => mirror)
    return [...new Set([...found.map((mirror) => mirror.replace(/\/$/, '')), DEBIAN])]
  }

  async #apt(...args: readonly string[]) {
    const settings = this.#settings.flatMap((setting) => ['-o', setting])
    const result = await runCommand('apt-get', [...settings, '-qq', ...args], {
      cwd: this.#scratch,
      signal: this.#signal,
    })
    this.#signal.throwIfAborted()
    return result
  }
}

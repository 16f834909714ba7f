import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Export } from '../../../src/orchestrator/export/exported-graph.ts'
import { emptyFolder } from '../empty-folder.ts'

// Reads unit files with the tools of systemd, which `npm test` installs where possible. systemd need not run.

const managers = ['/lib/systemd/systemd', '/usr/lib/systemd/systemd']
/** The id of the user `nobody`. */
const nobody = 65_534

const run = promisify(execFile)

/** Returns the warnings of `systemd-analyze verify`; rejects if it rejects the files. */
export async function verifyUnits(paths: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', ...paths])
  return `${stdout}${stderr}`.trim()
}

/** Returns the warnings of systemd about all units of an export. */
export async function verifyExport({ files }: Export): Promise<string> {
  const folder = emptyFolder()
  await Promise.all(files.map(({ name, text }) => writeFile(join(folder, name), text)))
  return verifyUnits(files.map(({ name }) => join(folder, name)))
}

export interface ParsedUnit {
  /** One entry for each ExecStart=, with specifiers but without variables resolved. */
  readonly commands: readonly (readonly string[])[]
  /** One entry for each Environment=. */
  readonly environment: readonly string[]
}

/** Returns the unit as systemd reads it, from the dump of its test mode. Values must not contain newlines. */
export async function parseUnit(text: string): Promise<ParsedUnit> {
  const folder = await mkdtemp(join(tmpdir(), 'ponix-systemd-'))
  try {
    await writeFile(join(folder, 'x.service'), text)
    // systemd rejects test mode as root, and needs its own folder.
    const isRoot = process.getuid?.() === 0
    if (isRoot) await chown(folder, nobody, nobody)
    await chmod(folder, 0o700)
    const manager = managers.find((path) => existsSync(path))
    if (manager === undefined)
      throw new Error('systemd is not installed: apt-get install --no-install-recommends systemd')
    const env = { HOME: folder, XDG_CONFIG_HOME: folder, XDG_RUNTIME_DIR: folder, SYSTEMD_UNIT_PATH: `${folder}:` }
    const { stdout } = await run(manager, ['--test', '--user', '--unit=x.service', '--no-pager'], {
      cwd: '/',
      env,
      maxBuffer: 16 * 1024 * 1024,
      ...(isRoot ? { uid: nobody, gid: nobody } : {}),
    })
    return readDump(stdout)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function readDump(dump: string): ParsedUnit {
  const [, part = ''] = dump.split('-> Unit x.service:\n')
  const [unit = ''] = part.split('-> Unit ')
  const valuesOf = (key: string) =>
    [...unit.matchAll(new RegExp(String.raw`^\t+${key}: (.*)$`, 'gm'))].map(([, value = '']) => value)
  return { commands: valuesOf('Command Line').map(readWords), environment: valuesOf('Environment') }
}

/** Removes the quoting of the dump, which is C's. */
function readWords(line: string): readonly string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) => plain ?? unescape(quoted ?? ''))
}

const escapes: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  s: ' ',
}

function unescape(text: string): string {
  return text.replaceAll(/\\(?:([0-7]{3})|x([0-9a-f]{2})|(.))/g, (_, octal?: string, hex?: string, other?: string) => {
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8))
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
    return escapes[other ?? ''] ?? other ?? ''
  })
}

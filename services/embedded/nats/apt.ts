import { chmod, copyFile, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ServerError } from '../../../src/domain/errors.ts'
import { lastLines, runCommand } from '../run-command.ts'

/**
 * Fetches a Debian or Ubuntu package and takes one program out of it into `folder`, installing nothing: apt has a state of
 * its own here, so it needs neither root nor package lists.
 */
export async function extractFromPackage(
  folder: string,
  { packageName, program }: { readonly packageName: string; readonly program: string },
  signal: AbortSignal,
): Promise<void> {
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
  if ((await runCommand('apt-get', ['--version'])).code === null) throw new ServerError('there is no apt-get here')
  const update = await runCommand('apt-get', [...apt, '-qq', 'update'], { cwd: scratch, signal })
  const download = await runCommand('apt-get', [...apt, '-qq', 'download', packageName], { cwd: scratch, signal })
  signal.throwIfAborted()
  const archive = (await readdir(scratch)).find((name) => name.endsWith('.deb'))
  if (download.code !== 0 || archive === undefined) {
    throw new ServerError(`apt-get download ${packageName}: ${lastLines(`${download.output}\n${update.output}`, 2)}`)
  }
  const unpack = await runCommand('dpkg-deb', ['--extract', join(scratch, archive), join(scratch, 'out')])
  if (unpack.code !== 0) throw new ServerError(`dpkg-deb: ${lastLines(unpack.output, 1)}`)
  await copyFile(join(scratch, 'out', program), join(folder, packageName))
  await chmod(join(folder, packageName), 0o755)
  await rm(scratch, { recursive: true })
}

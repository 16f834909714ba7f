import { delimiter, join } from 'node:path'
import { ServerError, messageOf } from '../../../src/domain/errors.ts'
import { provision, type Provisioning } from '../provision.ts'
import { runCommand } from '../run-command.ts'
import { extractFromPackage } from './apt.ts'

const OLDEST = [2, 9] as const

/** The folder with `nats-server` (≥ 2.9): on PATH, or taken from Debian's or Ubuntu's package. */
export async function provideNats(provisioning: Provisioning): Promise<string> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (isRecent(await natsVersion(folder))) return folder
  }
  try {
    return await provision(provisioning, {
      folder: 'nats-server-apt',
      async install(draft) {
        const source = { packageName: 'nats-server', program: 'usr/sbin/nats-server' }
        await extractFromPackage(draft, source, provisioning.signal)
        const version = await natsVersion(draft)
        if (!isRecent(version)) throw new ServerError(`the system's package has nats-server ${version?.join('.')}`)
      },
    })
  } catch (error) {
    provisioning.signal.throwIfAborted()
    throw new ServerError(
      `there is no nats-server ${OLDEST.join('.')} or newer on PATH: ${howToGet()} (${messageOf(error)})`,
      {
        cause: error,
      },
    )
  }
}

/** Major and minor version of the program in a folder; undefined if it is not there or does not run. */
export async function natsVersion(folder: string): Promise<readonly [number, number] | undefined> {
  const { code, output } = await runCommand(join(folder, 'nats-server'), ['--version'])
  const found = /v(\d+)\.(\d+)\./.exec(output)
  return code === 0 && found !== null ? [Number(found[1]), Number(found[2])] : undefined
}

function isRecent(version: readonly [number, number] | undefined): boolean {
  if (version === undefined) return false
  return version[0] > OLDEST[0] || (version[0] === OLDEST[0] && version[1] >= OLDEST[1])
}

function howToGet(): string {
  if (process.platform === 'darwin') return 'install it with `brew install nats-server`'
  return 'put it there from https://github.com/nats-io/nats-server/releases, or let apt reach its servers'
}

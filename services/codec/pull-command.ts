import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Option, type Command } from 'commander'
import { StartupError } from '../../src/domain/errors.ts'
import { print } from '../../src/runner/print.ts'
import { ProfileClient, type Profile } from './profile-client.ts'
import { toExample } from './profile-sample.ts'

interface PullOptions {
  readonly id?: string
  readonly name?: string
  readonly organization: string
  readonly api?: string
  readonly output: string
  readonly json?: true
}

/** Adds `ponix-codec pull`; `defaultAddress` is the api's host:port. */
export function addPullCommand(program: Command, defaultAddress: () => string): void {
  const command = program.command('pull')
  command
    .description('write the codec of a device profile and its samples in files')
    .addOption(new Option('--id <id>', 'the id of the profile').conflicts('name'))
    .option('--name <name>', 'the name of the profile')
    .option('--organization <id>', 'the owner of the profile with this name (default: shared by all organizations)', '')
    .option('--api <address>', 'host:port of the api (default: PONIX_GRPC_HOST:PONIX_GRPC_PORT)')
    .option('--output <folder>', 'the folder of the files', '.')
    .option('--json', 'as JSON')
    .action(async (options: PullOptions) => {
      if (options.id === undefined && options.name === undefined) {
        command.error('error: expected the profile with --id or --name', { exitCode: 2 })
      }
      await pull(options.api ?? defaultAddress(), options)
    })
}

async function pull(address: string, options: PullOptions): Promise<void> {
  const profile = await readProfile(address, options)
  const files = filesOf(profile)
  await mkdir(options.output, { recursive: true })
  for (const [name, text] of files) await writeFile(join(options.output, name), text)
  const { profileId, organizationId, name, codec } = profile
  const paths = files.map(([file]) => join(options.output, file))
  const view = { profile_id: profileId, organization_id: organizationId, name, kind: codec.kind, files: paths }
  await print([
    options.json ? `${JSON.stringify(view)}\n` : `wrote ${paths.join(' and ')} from profile ${profileId} "${name}"\n`,
  ])
}

async function readProfile(address: string, { id, name = '', organization }: PullOptions): Promise<Profile> {
  const client = new ProfileClient(address)
  try {
    const profile = await (id === undefined ? client.find(organization, name) : client.get(id))
    if (profile !== undefined) return profile
    const owner = organization === '' ? 'shared profile' : `profile of the organization ${organization}`
    throw new StartupError(`the api at ${address}: no ${owner} has the name "${name}"`)
  } finally {
    client.close()
  }
}

/** Returns names and texts of the files. The codec cayenne_lpp has no file. */
function filesOf({ codec, samples }: Profile): readonly (readonly [name: string, text: string])[] {
  const examples = `${JSON.stringify(samples.map(toExample), undefined, 2)}\n`
  const ofSamples = ['examples.json', examples] as const
  if (codec.kind === 'cayenne_lpp') return [ofSamples]
  return [[codec.kind === 'cel' ? 'codec.cel' : 'codec.js', codec.source], ofSamples]
}

import type { Command } from 'commander'
import type { ProfileSample } from '../../src/domain/codecs/device-profile.ts'
import type { JsonValue } from '../../src/domain/entities.ts'
import { jsonDifferences } from '../../src/domain/codecs/json-difference.ts'
import { print } from '../../src/runner/print.ts'
import { readCodec } from './codec-file.ts'
import { findSampleFiles } from './find-samples.ts'
import { rejectFileErrors } from './located-document.ts'
import { ProfileClient, type Profile, type ProfileChange } from './profile-client.ts'
import { toProfileSample } from './profile-sample.ts'
import { readSamples } from './sample-file.ts'

interface PushOptions {
  readonly name: string
  readonly organization: string
  readonly api?: string
  readonly vectors?: string
  readonly skipSamples?: true
  readonly json?: true
}

/** Adds `ponix-codec push`; `defaultAddress` is the api's host:port. */
export function addPushCommand(program: Command, defaultAddress: () => string): void {
  const command = program.command('push')
  command
    .description(
      'create or update the device profile with a name; the profile is unchanged if it has the codec already',
    )
    .argument('<codec>', 'a .cel or .js file, or cayenne_lpp')
    .requiredOption('--name <name>', 'the name of the profile')
    .option('--organization <id>', 'the owner of the profile (default: shared by all organizations)', '')
    .option('--api <address>', 'host:port of the api (default: PONIX_GRPC_HOST:PONIX_GRPC_PORT)')
    .option('--vectors <file>', 'the samples (default: the files of samples beside the codec)')
    .option('--skip-samples', 'store the profile although a sample fails')
    .option('--json', 'as JSON')
    .action(async (path: string, options: PushOptions) => {
      const address = options.api ?? defaultAddress()
      await rejectFileErrors(command, () => push(path, address, options))
    })
}

async function push(path: string, address: string, options: PushOptions): Promise<void> {
  const { organization: organizationId, name, vectors, json, skipSamples = false } = options
  const { codec } = await readCodec(path)
  const samples: ProfileSample[] = []
  for (const file of vectors === undefined ? await findSampleFiles(path) : [vectors]) {
    samples.push(...(await readSamples(file)).samples.map(toProfileSample))
  }
  const client = new ProfileClient(address)
  try {
    const existing = await client.find(organizationId, name)
    const change = existing === undefined ? { codec, samples } : changeOf(existing, { codec, samples })
    const changed = Object.keys(change)
    const pushed = await (existing === undefined
      ? client.create({ organizationId, name, codec, samples }, skipSamples)
      : changed.length === 0
        ? existing
        : client.update(existing.profileId, change, skipSamples))
    const result = existing === undefined ? 'created' : changed.length === 0 ? 'unchanged' : 'updated'
    const view = { profile_id: pushed.profileId, organization_id: organizationId, name, result, changed }
    await print([json ? `${JSON.stringify(view)}\n` : textOf(pushed, result, changed)])
  } finally {
    client.close()
  }
}

/** Returns the parts that differ. Without samples in files, those of the profile stay. */
function changeOf(existing: Profile, { codec, samples }: Required<ProfileChange>): ProfileChange {
  const isSameCodec = existing.codec.kind === codec.kind && existing.codec.source === codec.source
  const isSame = samples.length === 0 || jsonDifferences(json(existing.samples), json(samples), '').length === 0
  return { ...(isSameCodec ? {} : { codec }), ...(isSame ? {} : { samples }) }
}

/** A sample is JSON, but its interface is not a JsonObject for the compiler. */
function json(samples: readonly ProfileSample[]): JsonValue {
  return JSON.parse(JSON.stringify(samples))
}

function textOf({ name, profileId, samples }: Profile, result: string, changed: readonly string[]): string {
  const what = result === 'updated' ? `: ${changed.join(' and ')}` : ''
  return `${result} profile ${profileId} "${name}"${what}; it has ${samples.length} samples\n`
}

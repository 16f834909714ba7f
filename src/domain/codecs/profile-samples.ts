import type { Codec } from './codec.ts'
import { DEFAULT_RECEIVE_TIME, runSample, type SampleExpectation } from './codec-sample.ts'
import type { ProfileExpectation, ProfileSample } from './device-profile.ts'
import { invalid } from '../fields.ts'
import { fromRfc3339 } from '../instant.ts'
import { differenceText } from './json-difference.ts'
import type { CallOptions, CodecRunner } from '../ports.ts'

/** A codec with its samples, and the organization in whose share they run. */
export interface SampledCodec {
  readonly organizationId: string
  readonly codec: Codec
  readonly samples: readonly ProfileSample[]
}

/** Runs the samples one after the other; throws `invalid_argument` that names the first one that fails, and its first difference. */
export async function assertSamplesPass(
  { organizationId, codec, samples }: SampledCodec,
  runner: CodecRunner,
  options?: CallOptions,
): Promise<void> {
  for (const [index, { name, payload, receivedAt: time, expected, ...uplink }] of samples.entries()) {
    options?.signal?.throwIfAborted()
    const receivedAt = (time === undefined ? null : fromRfc3339(time)) ?? DEFAULT_RECEIVE_TIME
    const [first, ...others] = await runSample(runner, organizationId, codec, {
      payload: Buffer.from(payload, 'hex'),
      input: { receivedAt, uplink },
      expectation: toExpectation(expected),
    })
    if (first === undefined) continue
    const more = others.length === 0 ? '' : `, and ${others.length} more`
    throw invalid(
      `samples[${index}] "${name}": ${differenceText(first)}${more}; skip_samples stores the profile nevertheless`,
    )
  }
}

function toExpectation(expected: ProfileExpectation | undefined): SampleExpectation {
  if (expected === undefined) return { results: [] }
  if ('error' in expected) return { errors: [expected.error] }
  return { results: ['data' in expected ? expected.data : expected.readings] }
}
